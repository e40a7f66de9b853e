// Python output is emitted immediately, and is not lost if the code is killed.
import type { Agent } from '@theazo/core'
import { expect, test } from 'vitest'
import { withLocalAgent } from '../support/local-agent.ts'

let agent: Agent
withLocalAgent((opened) => void (agent = opened))

const runIn = (kind: string): string =>
  `import multiprocessing, threading\np = ${kind}(target=run); p.start(); p.join()`
/** Python that starts another thread. */
const besideThread = 'import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()'
/** Python that prints `begun`, in different ways. */
const printing: [string, string, Record<string, string>?][] = [
  ['print', 'print("begun")'],
  ['print without the end of a line', 'print("begun", end="")'],
  ['a write without the end of a line', 'import sys; sys.stdout.write("begun")'],
  ['bytes', 'import sys; sys.stdout.buffer.write(b"begun")'],
  ['print in a new interpreter', 'print("begun", end="")', { PYTHONHASHSEED: '1' }],
  ['print in a thread', 'import threading\nt = threading.Thread(target=print, args=("begun",)); t.start(); t.join()'],
  ['print in a thread without the end of a line', `def run(): print("begun", end="")\n${runIn('threading.Thread')}`],
  ['print without the end of a line beside a thread', `${besideThread}\nprint("begun", end="")`],
  ['a write without the end of a line beside a thread', `${besideThread}\nimport sys; sys.stdout.write("begun")`],
  [
    'print without the end of a line in a fork that is killed',
    'import os\nif os.fork() == 0: print("begun", end=""); os.kill(os.getpid(), 9)\nos.wait()',
  ],
  [
    'a write without the end of a line in a process of multiprocessing that is killed',
    `import os, sys\ndef run(): sys.stdout.write("begun"); os.kill(os.getpid(), 9)\n${runIn('multiprocessing.Process')}`,
  ],
  [
    'print in a forked process',
    'import multiprocessing as m\np = m.Process(target=print, args=("begun",)); p.start(); p.join()',
  ],
  [
    'print in a program that it started',
    `import subprocess, sys
subprocess.run([sys.executable, '-c', 'import os; print("begun", end=""); os.kill(os.getpid(), 9)'])`,
  ],
]

test.each(printing)('output of python is emitted while the code still runs: %s', async (_how, begin, env = {}) => {
  const wait =
    'import os, time\nwhile not os.path.exists("heard"): time.sleep(0.01)\nos.remove("heard")\nprint("ended")'
  const onStdout = async (text: string): Promise<void> => {
    if (text.includes('begun')) await agent.exec('bash', 'touch heard')
  }
  const { stdout } = await agent.exec('python', `${begin}\n${wait}`, { env, onStdout })
  expect(stdout).toMatch(/^begun\n?ended\n$/)
})

test.each(
  printing.flatMap(([how, begin, env]) =>
    [
      ['is killed', 'import os; os.kill(os.getpid(), 9)', 137],
      ['crashes', 'import ctypes; ctypes.string_at(0)', 139],
      ['exits without cleanup', 'import os; os._exit(7)', 7],
    ].map(([end, code, status]) => [how, String(end), begin, String(code), Number(status), env] as const),
  ),
)('output of python is kept if the code %s %s', async (_how, _end, begin, end, exitCode, env = {}) => {
  const result = await agent.exec('python', `${begin}\n${end}`, { env })
  expect([result.stdout.trimEnd(), result.exitCode]).toEqual(['begun', exitCode])
})

test('a fork of python does not repeat output of its parent that has another thread', async () => {
  const code = `${besideThread}
import os, sys
print('once', end='')
if os.fork() == 0:
    sys.stdout.write(' child')
else:
    os.wait()
    print(' parent')`
  expect((await agent.exec('python', code)).stdout).toBe('once child parent\n')
})

test('print of python behaves as outside of the sandbox', async () => {
  const code = `
import copy, inspect, io, pickle, sys
class Loud:
    log = print
    def __str__(self):
        print('<loud>')
        return 'text'
class Failing:
    def __str__(self): raise KeyError('failing')
print('a', Loud(), [1], sep='-', end='!\\n')
Loud().log('no method')
print()
print('text', end='', flush=True)
print('to', 'stderr', file=sys.stderr)
print('to', 'memory', file=(file := io.StringIO()))
print(repr(file.getvalue()), print, print.__name__, print.__qualname__, inspect.signature(print))
print(pickle.loads(pickle.dumps(print)) is copy.deepcopy(print) is print)
for args, options in ((('kept', Failing()), {}), ((), {'sep': 1}), ((), {'what': 1})):
    try: print(*args, **options)
    except Exception as error: print(repr(error))
kept, sys.stdout = sys.stdout, None
print('nowhere')
del sys.stdout
try: print('nowhere')
except RuntimeError as error: print(error, file=kept)
kept.close()
try: print('nowhere', file=kept)
except ValueError as error: print(error, file=sys.stderr)`
  const expected = await agent.exec('bash', `python3 -c "$CODE"`, { env: { CODE: code } })
  const { stdout, stderr } = await agent.exec('python', code)
  expect({ stdout, stderr }).toEqual({ stdout: expected.stdout, stderr: expected.stderr })
  expect([stdout, stderr]).toEqual([
    expect.stringContaining('a-<loud>\ntext-[1]!\n'),
    expect.stringContaining('closed'),
  ])
})

test('a signal handler of python may print while the program prints', async () => {
  const code = `
import signal
ticks = 0
def tick(*_):
    global ticks
    ticks += 1
    print('tick')
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
lines = 0
while lines < 1000 or ticks < 100:
    print('line')
    lines += 1
signal.setitimer(signal.ITIMER_REAL, 0)
import sys
print(lines, ticks, file=sys.stderr)`
  const { stdout, stderr, exitCode } = await agent.exec('python', code)
  const count = (word: string): number => stdout.split(word).length - 1
  expect([`${count('line')} ${count('tick')}\n`, exitCode]).toEqual([stderr, 0])
})

test('output of python is complete if its pipe is full for a while', async () => {
  const code = `
import fcntl, os, sys
read, write = os.pipe()
kept, size = os.dup(1), fcntl.fcntl(write, 1032)
os.dup2(write, 1)
os.set_blocking(1, False)
for text in 'x' * size, 'y', 'z\\n': print(text, end='')
fits = os.read(read, size)
print('end')
os.dup2(kept, 1)
rest = os.read(read, size)
print(len(fits) == size, rest)`
  const { stdout, stderr } = await agent.exec('python', code)
  expect([stdout, stderr]).toEqual(["True b'yz\\nend\\n'\n", ''])
})

test('output of python is buffered if its environment says so', async () => {
  const code = 'import os; print("begun"); os._exit(0)'
  expect((await agent.exec('python', code, { env: { PYTHONUNBUFFERED: '' } })).stdout).toBe('')
  expect((await agent.exec('python', code)).stdout).toBe('begun\n')
})

test.each([
  ['threads', 'import threading\nall = [threading.Thread(target=work, args=(n,)) for n in range(4)]'],
  ['processes', 'import multiprocessing\nall = [multiprocessing.Process(target=work, args=(n,)) for n in range(4)]'],
])('lines that %s of python print at the same time stay whole', async (_who, start) => {
  const code = `
def work(n):
    for m in range(500): print('line', n, m)
${start}
for each in all: each.start()
for each in all: each.join()`
  const { stdout } = await agent.exec('python', code)
  const lines = Array.from({ length: 2000 }, (_, n) => `line ${n % 4} ${Math.floor(n / 4)}`)
  expect(stdout.trimEnd().split('\n').toSorted()).toEqual(lines.toSorted())
})
