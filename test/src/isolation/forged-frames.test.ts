// Code that writes frames of the supervisor protocol (packages/server/src/compute/local/inside/wire.py) cannot change
// an exec.
import { expect, test } from 'vitest'
import { onEachServer, outputOf } from '../support/each-server.ts'

/**
 * Opens every descriptor of every visible process until it is stopped, and writes valid frames to each pipe: output,
 * files, exits and refusals for all past and later execs of this sandbox.
 */
const forger = `
import os, struct, sys
UP = struct.Struct('<IBH')
def frame(exec_id, kind, payload): return UP.pack(exec_id, kind, len(payload)) + payload
ends = struct.pack('<iB', 66, 0)
lines = [frame(0, 1, b''), frame(0, 2, b'')]
for exec_id in range(1, 40):
    lines += [frame(exec_id, 3, b'FORGED'), frame(exec_id, 4, b'FORGED'), frame(exec_id, 6, ends), frame(exec_id, 7, b''), frame(exec_id, 8, b'FORGED')]
own = {os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)}
opened = 0
print('started', flush=True)
while not os.path.exists('/tmp/stop'):
    for pid in os.listdir('/proc'):
        if not pid.isdigit(): continue
        for base in (f'/proc/{pid}/fd', f'/proc/{pid}/task/{pid}/fd'):
            try: names = os.listdir(base)
            except OSError: names = map(str, range(12))
            for name in names:
                try:
                    if os.readlink(f'{base}/{name}') in own: continue
                    fd = os.open(f'{base}/{name}', os.O_WRONLY | os.O_NONBLOCK)
                except OSError: continue
                opened += 1
                for line in lines:
                    try: os.write(fd, line)
                    except OSError: break
                os.close(fd)
print('stopped')`

onEachServer((server) => {
  test('the forger can write to an unprotected process (control)', async () => {
    await using agent = await server.newAgent()
    const code = `
import os, subprocess, sys
child = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
fd = os.open(f'/proc/{child.pid}/fd/1', os.O_WRONLY)
os.write(fd, b'FORGED')
print(child.stdout.read(6).decode())
child.kill()`
    expect(await outputOf(agent, 'python', code)).toBe('FORGED')
  })

  test("frames with another exec's number do not change results or output of concurrent execs", async () => {
    await using agent = await server.newAgent()
    const controller = new AbortController()
    const started = Promise.withResolvers<void>()
    const forging = agent.exec('python', forger, { signal: controller.signal, onStdout: () => started.resolve() })
    await started.promise
    const slow = 'for i in 1 2 3 4 5; do echo $i; read -t 0.1 <> <(:); done; echo e >&2; exit 3'
    const python =
      'import sys, time\nfor i in range(5): print(i, flush=True); time.sleep(0.1)\nprint("e", file=sys.stderr); sys.exit(3)'
    const typescript = `for (let i = 0; i < 5; i++) { console.log(i); await new Promise((r) => setTimeout(r, 100)) }\nconsole.error('e'); process.exit(3)`
    const all = await Promise.all(
      [0, 1].flatMap(() => [
        agent.exec('bash', slow),
        agent.exec('python', python),
        agent.exec('typescript', typescript),
        agent.exec('bash', 'read -t 60 line; echo "$line"', { stdin: 'from stdin\n' }),
      ]),
    )
    await agent.exec('bash', 'touch /tmp/stop')
    expect((await forging).stdout).toBe('started\nstopped\n')
    const ended = all.map(({ stdout, stderr, exitCode }) => ({ stdout, stderr, exitCode }))
    const of = (stdout: string) => ({ stdout, stderr: 'e\n', exitCode: 3 })
    const own = [
      of('1\n2\n3\n4\n5\n'),
      of('0\n1\n2\n3\n4\n'),
      of('0\n1\n2\n3\n4\n'),
      { stdout: 'from stdin\n', stderr: '', exitCode: 0 },
    ]
    expect(ended).toEqual([...own, ...own])
    expect(await outputOf(agent, 'bash', 'echo after')).toBe('after')
  })

  test('code of an exec cannot be changed by another exec before it runs, also in Bash and TypeScript', async () => {
    await using agent = await server.newAgent()
    const changer = `
cat > /tmp/changer.sh << 'END'
cd /run/theazo; touch /tmp/changing
until [[ -e /tmp/stop ]]; do
  for file in */main.*; do
    [[ $file == */main.ts ]] && line='console.log("FORGED")' || line='echo FORGED'
    echo "$line" 2> /dev/null > "$file"; echo "$line" >> /tmp/control
  done
done 2> /dev/null
END
setsid bash /tmp/changer.sh > /dev/null 2>&1 & until [[ -e /tmp/changing ]]; do read -t 0.02 <> <(:); done`
    expect(await outputOf(agent, 'bash', changer)).toBe('')
    for (let n = 0; n < 8; n += 1) {
      expect(await outputOf(agent, 'bash', `echo ${n}`)).toBe(`${n}`)
      expect(await outputOf(agent, 'typescript', `console.log(${n})`)).toBe(`${n}`)
      expect(await outputOf(agent, 'python', `print(${n})`)).toBe(`${n}`)
    }
    // The control: the attacker ran all the time, and saw the files that it could not change.
    expect(await outputOf(agent, 'bash', 'head -n 1 /tmp/control; touch /tmp/stop')).toContain('FORGED')
  })

  test("an exec can neither write to another exec's output nor read its input", async () => {
    await using agent = await server.newAgent()
    const code = `
import os, sys, time
print('ready', flush=True)
deadline = time.monotonic() + 60
while not os.path.exists('/tmp/stop') and time.monotonic() < deadline: time.sleep(0.01)
print(sys.stdin.read())`
    const started = Promise.withResolvers<void>()
    const victim = agent.exec('python', code, { stdin: 'secret input', onStdout: () => started.resolve() })
    await started.promise
    const attack = `
import os
found = []
for pid in os.listdir('/proc'):
    if not pid.isdigit() or int(pid) == os.getpid(): continue
    for fd in (0, 1, 2):
        for flags in (os.O_RDONLY, os.O_WRONLY):
            try:
                opened = os.open(f'/proc/{pid}/fd/{fd}', flags | os.O_NONBLOCK)
                found.append(os.read(opened, 100) if flags == os.O_RDONLY else os.write(opened, b'FORGED'))
            except OSError: pass
open('/tmp/stop', 'w').close()
print(found)`
    expect(await outputOf(agent, 'python', attack)).toBe('[]')
    expect((await victim).stdout).toBe('ready\nsecret input\n')
  })
})
