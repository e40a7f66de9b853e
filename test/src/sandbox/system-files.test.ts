// Programs of /usr find their settings, the CPUs and the memory of the sandbox.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Theazo, type Agent } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { describe, expect, test } from 'vitest'
import { withLocalAgent } from '../support/local-agent.ts'

const limitMebibytes = 512

let agent: Agent
withLocalAgent((opened) => void (agent = opened), { sandbox: { memoryBytes: limitMebibytes * 1024 * 1024 } })

/** Standard output of code that must end with exit code 0 and an empty standard error. */
async function outputOf(lang: 'python' | 'typescript' | 'bash', code: string): Promise<string> {
  const { stdout, stderr, exitCode } = await agent.exec(lang, code)
  expect([stderr, exitCode]).toEqual(['', 0])
  return stdout.trim()
}

const hasJava = existsSync('/usr/bin/java')
const java = (body: string): string => `
mkdir -p /tmp/java && cd /tmp/java && cat > Main.java <<'END'
public class Main { public static void main(String[] given) throws Exception { ${body} } }
END
java Main.java`

describe('programs find their settings', () => {
  test.runIf(hasJava)('Java starts, and finds its security settings', async () => {
    const { stderr, exitCode } = await agent.exec('bash', 'java -version')
    expect([stderr, exitCode]).toEqual([expect.stringContaining('version'), 0])
    const code = java(`
      System.out.println(java.security.MessageDigest.getInstance("SHA-256").digest().length);
      System.out.println(javax.net.ssl.SSLContext.getDefault().getProtocol());`)
    expect(await outputOf('bash', code)).toBe('32\nDefault')
  })

  test.runIf(existsSync('/usr/bin/fc-match'))('fontconfig finds the fonts of the system', async () => {
    expect(await outputOf('bash', 'fc-match sans')).toBe(
      execFileSync('/usr/bin/fc-match', ['sans'], { encoding: 'utf8' }).trim(),
    )
  })

  test.runIf(existsSync('/etc/services'))('service and protocol names resolve to numbers', async () => {
    const code =
      'import socket; print(socket.getservbyname("http"), socket.getservbyport(53), socket.getprotobyname("udp"))'
    expect(await outputOf('python', code)).toBe('80 domain 17')
    expect(await outputOf('bash', 'getent services https/tcp | tr -s " "; getent passwd agent | cut -d: -f1')).toBe(
      'https 443/tcp\nagent',
    )
  })

  test.runIf(existsSync('/etc/mime.types'))('file names have media types', async () => {
    const docx = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'
    expect(await outputOf('python', 'import mimetypes; print(mimetypes.guess_type("a.docx")[0])')).toBe(docx)
  })

  test.runIf(existsSync('/etc/os-release'))('the name of the operating system can be read', async () => {
    const system = execFileSync('cat', ['/etc/os-release'], { encoding: 'utf8' })
    expect(await outputOf('bash', 'cat /etc/os-release')).toBe(system.trim())
  })

  test.runIf(existsSync('/usr/bin/lscpu'))('lscpu counts the CPUs', async () => {
    const count = /^CPU\(s\): +(\d+)$/m
    const cpus = count.exec(execFileSync('/usr/bin/lscpu', { encoding: 'utf8', env: { LANG: 'C.UTF-8' } }))?.[1]
    expect(cpus).toBeDefined()
    expect(count.exec(await outputOf('bash', 'lscpu'))?.[1]).toBe(cpus)
  })

  test('/var/tmp is writable, and is /tmp', async () => {
    expect(await outputOf('bash', 'echo kept > $(mktemp -p /var/tmp only-XXX); cat /tmp/only-*')).toBe('kept')
  })

  test('links in /usr to programs and libraries work', async () => {
    const find = 'find /usr/bin /usr/sbin /usr/lib/ssl/certs /usr/lib/jvm -xtype l ! -name src.zip 2> /dev/null | sort'
    const dangling = execFileSync('bash', ['-c', find], { encoding: 'utf8' }).trim()
    expect((await agent.exec('bash', find)).stdout.trim()).toBe(dangling)
  })

  test('certificates of public authorities are trusted', async () => {
    const code = 'import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 10)'
    expect(await outputOf('python', code)).toBe('True')
  })
})

describe('programs see the memory of the sandbox', () => {
  test('free', async () => {
    expect(await outputOf('bash', "free -m | awk '/^Mem:/ { print $2 }'")).toBe(String(limitMebibytes))
  })

  test('Python', async () => {
    const code = 'print(next(int(line.split()[1]) // 1024 for line in open("/proc/meminfo") if "MemTotal" in line))'
    expect(await outputOf('python', code)).toBe(String(limitMebibytes))
  })

  test.each(['typescript', 'bash'] as const)('Node, as %s starts it', async (lang) => {
    const code =
      "require('node:os').totalmem() / 2 ** 20, require('node:v8').getHeapStatistics().heap_size_limit / 2 ** 20"
    const print = `console.log(${code})`
    const [total, heap] = (await outputOf(lang, lang === 'bash' ? `node -e "${print}"` : print)).split(' ').map(Number)
    expect(total).toBe(limitMebibytes)
    expect(heap).toBeLessThan(limitMebibytes)
  })

  test.runIf(hasJava)('Java, without a message on standard error', async () => {
    const heap = Number(await outputOf('bash', java('System.out.println(Runtime.getRuntime().maxMemory() >> 20);')))
    expect(heap).toBeGreaterThan(0)
    expect(heap).toBeLessThan(limitMebibytes)
    const own = java('System.out.println(Runtime.getRuntime().maxMemory() >> 20);').replace(
      'java Main',
      'java -Xmx64m Main',
    )
    expect(Number(await outputOf('bash', own))).toBeLessThanOrEqual(64)
  })
})

// A machine with one CPU cannot show a difference.
describe.runIf(availableParallelism() > 1)('programs see the CPUs that the sandbox may use', () => {
  let limited: Agent
  withLocalAgent((opened) => void (limited = opened), { sandbox: { cpus: 0.5 } })

  test.each([
    ['python', 'import os, multiprocessing; print(os.cpu_count(), multiprocessing.cpu_count())', '1 1'],
    ['bash', 'nproc; getconf _NPROCESSORS_ONLN; python3 -c "import os; print(os.cpu_count())"', '1\n1\n1'],
    ['bash', 'OMP_NUM_THREADS=2 nproc', '2'],
  ] as const)('%s: %s', async (lang, code, expected) => {
    const { stdout, stderr } = await limited.exec(lang, code)
    expect([stdout.trim(), stderr]).toEqual([expected, ''])
  })

  test('variables of an exec take precedence', async () => {
    const { stdout } = await limited.exec('bash', 'nproc', { env: { OMP_NUM_THREADS: '2' } })
    expect(stdout).toBe('2\n')
  })

  test.runIf(hasJava)('Java, without a message on standard error', async () => {
    const { stdout, stderr } = await limited.exec(
      'bash',
      java('System.out.println(Runtime.getRuntime().availableProcessors());'),
    )
    expect([stdout, stderr]).toEqual(['1\n', ''])
  })

  test('a limit that is not lower than the machine changes nothing', async () => {
    await using all = await createLocalTheazo({ sandbox: { cpus: availableParallelism() + 1 } })
    await using free = await (await new Theazo(all).sessions.forUser('cpus')).agents.create()
    const code = 'nproc; getconf _NPROCESSORS_ONLN; echo "[$OMP_NUM_THREADS]"'
    const count = availableParallelism()
    expect((await free.exec('bash', code)).stdout).toBe(`${count}\n${count}\n[]\n`)
  })
})

test('Bash and TypeScript use the same node', async () => {
  const version = await outputOf('typescript', 'console.log(process.version)')
  expect(await outputOf('bash', 'node --version')).toBe(version)
  expect(
    await outputOf(
      'python',
      'import subprocess; print(subprocess.check_output(["node", "-p", "process.version"], text=True))',
    ),
  ).toBe(version)
  if (existsSync('/usr/bin/npm')) {
    expect(await outputOf('bash', `npm version --json | node -p 'JSON.parse(fs.readFileSync(0)).node'`)).toBe(
      version.slice(1),
    )
  }
})
