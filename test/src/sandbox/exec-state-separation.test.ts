// An exec sees nothing of earlier execs except files.
import { Theazo, type Agent, type Language } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { describe, expect, test } from 'vitest'
import { interpreterSettings } from './warm-interpreter-settings.ts'
import { withLocalAgent } from '../support/local-agent.ts'

const look: Record<Language, string> = {
  python: `
import builtins, gc, json, locale, os, random, resource, signal, socket, sys, threading, warnings, string
print(json.dumps({
  'names': sorted(globals()), 'patches': [hasattr(builtins, 'leak'), hasattr(json, 'leak'), 'leak' in sys.modules],
  'cwd': os.getcwd(), 'env': sorted(os.environ.items()), 'descriptors': os.listdir('/proc/self/fd'),
  'signals': [str(signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)],
  'mask': len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), 'umask': os.umask(0o22), 'nice': os.nice(0),
  'limits': [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_STACK)],
  'locale': locale.setlocale(locale.LC_ALL), 'warnings': len(warnings.filters), 'path': sys.path, 'argv': len(sys.argv),
  'recursion': sys.getrecursionlimit(), 'gc': gc.isenabled(), 'threads': threading.active_count(),
  'timeout': socket.getdefaulttimeout(), 'hooks': [sys.excepthook is sys.__excepthook__, sys.gettrace() is None],
}))`,
  typescript: `
import { readdirSync, readFileSync } from 'node:fs'
const limits = readFileSync('/proc/self/limits', 'utf8').split('\\n').filter((line) => /open files|cpu time/.test(line))
console.log(JSON.stringify({
  names: Object.getOwnPropertyNames(globalThis).toSorted(), patches: [typeof ([] as any).leak, typeof (JSON as any).leak],
  cwd: process.cwd(), env: Object.entries(process.env).toSorted(), exitCode: process.exitCode, umask: process.umask(),
  listeners: process.eventNames().map(String).toSorted(), argv: process.argv, limits, title: process.title,
  files: readdirSync('/proc/self/fd').map((fd) => { try { return readFileSync('/proc/self/fdinfo/' + fd, 'utf8').length > 0 } catch { return false } }).length < 60,
}))`,
  bash: `
open=(/proc/$$/fd/*)
echo "$(declare -F; alias; trap; shopt -p; set +o; pwd; umask; ulimit -n; ulimit -t; nice)" "\${open[@]##*/}"
env | grep -v ^_= | sort; echo "[$leak]"; jobs; echo "\${PIPESTATUS[@]} $IFS" | od -c`,
}

const dirty: Record<Language, string> = {
  python: `
import builtins, gc, json, locale, os, random, resource, signal, socket, sys, threading, warnings, types
leak = builtins.leak = json.leak = 1
sys.modules['leak'] = types.ModuleType('leak')
os.chdir('/tmp'); os.environ['LEAK'] = '1'; kept = os.open('/etc/passwd', 0); os.set_inheritable(kept, True)
for s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM): signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.umask(0); os.nice(5)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); resource.setrlimit(resource.RLIMIT_CPU, (50, 50))
locale.setlocale(locale.LC_ALL, 'C'); warnings.simplefilter('error'); sys.path.insert(0, '/leak'); sys.argv.append('x')
sys.setrecursionlimit(5000); gc.disable(); socket.setdefaulttimeout(3); sys.excepthook = print; random.seed(1)
threading.Thread(target=threading.Event().wait, daemon=True).start()
print('done')`,
  typescript: `
import { openSync } from 'node:fs'
Object.assign(globalThis, { leak: 1 }); ([] as any).__proto__.leak = 1; (JSON as any).leak = () => 1
process.chdir('/tmp'); process.env['LEAK'] = '1'; process.umask(0); process.title = 'leak'; openSync('/etc/passwd')
process.on('SIGTERM', () => {}); process.on('exit', () => {}); process.argv.push('x'); process.exitCode = 0
Math.random = () => 4
console.log('done')`,
  bash: `
leak() { :; }; export -f leak; export LEAK=1 leak=1; alias leak=ls; trap 'true' TERM EXIT; shopt -s expand_aliases nullglob
set +B; cd /tmp; umask 0; ulimit -n 100; ulimit -t 50; renice 15 $$ > /dev/null; exec 9< /etc/passwd; IFS=x
sleep 60 & disown; echo done`,
}

describe.each(interpreterSettings)('interpreters: %s', (_when, sandbox) => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox })

  test.each(['python', 'typescript', 'bash'] as const)(
    'a %s exec does not see changes of an earlier exec',
    async (lang) => {
      const before = await agent.exec(lang, look[lang])
      expect(before).toMatchObject({ exitCode: 0, stderr: '' })
      for (const other of ['python', 'typescript', 'bash'] as const) {
        const stderr = other === 'bash' ? expect.stringContaining('ended: sleep 60.') : ''
        expect(await agent.exec(other, dirty[other])).toMatchObject({ stdout: 'done\n', stderr, exitCode: 0 })
        expect((await agent.exec(lang, look[lang])).stdout).toBe(before.stdout)
      }
    },
  )

  test.each(['python', 'typescript', 'bash'] as const)('a %s exec sees its own changes (control)', async (lang) => {
    const clean = (await agent.exec(lang, look[lang])).stdout
    // TypeScript allows an import only once.
    const code = `${dirty[lang].replace(/^import .*node:fs.*$/m, '')}\n${look[lang].replace('import { ', 'import { openSync, ')}`
    const { stdout, exitCode } = await agent.exec(lang, lang === 'typescript' ? code : `${dirty[lang]}\n${look[lang]}`)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^done\n./)
    expect(stdout).not.toBe(`done\n${clean}`)
  })

  test.each([
    [
      'python',
      'import random, secrets, uuid, tempfile, os; print(random.random(), random.Random().random(), secrets.token_hex(), uuid.uuid4(), uuid.uuid1(), tempfile.mktemp(), os.urandom(8))',
    ],
    [
      'typescript',
      "import { randomBytes, randomUUID } from 'node:crypto'; console.log(Math.random(), randomUUID(), randomBytes(8).toString('hex'))",
    ],
    ['bash', 'echo $SRANDOM $(mktemp -u) $(tr -dc a-z < /dev/urandom | head -c 9)'],
  ] as const)('no two %s execs have the same random numbers', async (lang, code) => {
    const one = async (): Promise<string[]> => (await agent.exec(lang, code)).stdout.trim().split(' ')
    const outputs = [...(await Promise.all([one(), one(), one(), one()])), await one(), await one()]
    const numbers = outputs.flat()
    expect(numbers.length).toBeGreaterThanOrEqual(18)
    expect(new Set(numbers).size).toBe(numbers.length)
  })

  test('concurrent execs do not see each other', async () => {
    const outputs = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        agent.exec(
          'python',
          `import os, builtins, time\nassert not hasattr(builtins, 'mine')\nbuiltins.mine = ${n}\nos.chdir('/tmp'); os.environ['N'] = '${n}'\ntime.sleep(0.05)\nprint(builtins.mine, os.environ['N'])`,
        ),
      ),
    )
    expect(outputs.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 12 }, (_, n) => `${n} ${n}\n`))
  })
})

test('a warm Bash starts in the same state as a new one', async () => {
  await using local = await createLocalTheazo()
  await using agent = await (await new Theazo(local).sessions.forUser('waiting')).agents.create()
  const code = `echo "$? $# $- $SECONDS $SHLVL [$_] $0"; ${look.bash}
declare -p | sed -n 's/^declare \\(-[^ ]* [A-Za-z_]*\\).*/\\1/p' | sort`
  const start = async (env?: Record<string, string>): Promise<{ path: string; lines: string[] }> => {
    const { stdout } = await agent.exec('bash', code, env && { env })
    const [path = ''] = /\/run\/theazo\/\d+/.exec(stdout) ?? []
    return { path, lines: stdout.replace(path, '').split('\n') }
  }
  // Warm interpreters have the usual environment, so this exec with another one starts a new interpreter.
  const asked = await start({ ASKED: '1' })
  let waited = await start()
  await expect.poll(async () => (waited = await start()).path).toMatch(/^\/run\/theazo\/0/)
  expect(waited.lines).toEqual(asked.lines.filter((line) => !line.includes('ASKED')))
})
