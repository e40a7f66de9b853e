// What code in the sandbox cannot do. Each refusal has a control that shows the target is really there.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let dataDir: string
let local: LocalTheazo
let agent: Agent

const secret = 'secret-of-the-server'

beforeAll(async () => {
  process.env['THEAZO_TEST_SECRET'] = secret
  dataDir = mkdtempSync(join(tmpdir(), 'theazo-isolation-'))
  local = await createLocalTheazo({ dataDir })
  const session = await new Theazo(local).sessions.forUser('isolation')
  agent = await session.agents.create()
})
afterAll(async () => {
  await agent.terminate()
  await local[Symbol.asyncDispose]()
  rmSync(dataDir, { recursive: true })
})

async function bash(code: string): Promise<string> {
  const { stdout, stderr } = await agent.exec('bash', code)
  return (stdout + stderr).trim()
}

/** Where the server keeps this agent's files (data-folder.ts). */
function agentFolder({ id } = agent): string {
  if (process.getuid?.() !== 0) return join(dataDir, 'agents', id)
  const folder = join('/var/lib/theazo/agents', readFileSync(join(dataDir, 'instance-id'), 'utf8').trim(), id)
  return existsSync(join(folder, 'disk')) ? join(folder, 'disk') : folder
}

describe('identity', () => {
  test('the sandbox is not root, neither inside nor outside', async () => {
    const [uid, map] = (await bash('id -u; cat /proc/self/uid_map')).split('\n')
    const [inside, outside, count] = map?.trim().split(/\s+/).map(Number) ?? []
    expect(Number(uid)).toBe(inside)
    expect([outside, count]).toEqual([inside, 1])
    expect(outside).toBeGreaterThan(0)

    await bash('touch made-inside')
    const made = statSync(join(agentFolder(), 'workspace/made-inside'))
    expect([made.uid, made.gid]).toEqual([outside, outside])
  })

  test('a setuid bit set inside gives nobody more than the sandbox has', async () => {
    await bash('cp /bin/bash suid; chmod 4755 suid')
    const { uid } = statSync(join(agentFolder(), 'workspace/suid'))
    expect(uid).not.toBe(0)
  })

  test('as root, each agent has a user of its own', async () => {
    const session = await new Theazo(local).sessions.forUser('isolation')
    await using other = await session.agents.create()
    const uids = [await agent.exec('bash', 'id -u'), await other.exec('bash', 'id -u')].map(({ stdout }) => stdout)
    expect(new Set(uids).size).toBe(process.getuid?.() === 0 ? 2 : 1)
  })

  test.each([
    ['write to /proc/sys', 'test -w /proc/sys/kernel/core_pattern', 'test -r /proc/sys/kernel/core_pattern'],
    ['write to /usr', 'test -w /usr/bin', 'test -r /usr/bin'],
    ['write to /etc', 'touch /etc/x', 'cat /etc/passwd'],
    ['write to the root folder', 'touch /x', 'touch /tmp/x'],
    ['write to /dev', 'touch /dev/x', 'echo > /dev/null'],
    ['make a user namespace', 'unshare --user true', 'true'],
    ['make a mount namespace', 'unshare --mount true', 'true'],
    ['mount', 'mount -t tmpfs none /tmp', 'ls /tmp'],
    ['make a device', 'mknod d c 1 3', 'mknod pipe p && rm pipe'],
    ['read the kernel log', 'dmesg', 'true'],
    ['set the clock', 'date -s @0', 'date'],
    ['become root', 'setpriv --reuid 0 true', 'setpriv --reuid $UID true'],
  ])('it cannot %s', async (_what, refused, control) => {
    expect((await agent.exec('bash', control)).exitCode).toBe(0)
    expect((await agent.exec('bash', refused)).exitCode).not.toBe(0)
  })
})

describe('system calls', () => {
  /** Calls by number in python, and prints the error's name or `ok`. */
  const syscall = (number: number, ...args: string[]) => `
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
r = libc.syscall(${[number, ...args].join(', ')})
print("ok" if r >= 0 else errno.errorcode[ctypes.get_errno()])`

  test.runIf(process.arch === 'x64').each([
    ['ptrace', 101, ['0, 0, 0, 0']],
    ['unshare', 272, ['0x10000000']],
    ['setns', 308, ['0, 0']],
    ['bpf', 321, ['0, 0, 0']],
    ['keyctl', 250, ['0, 0']],
    ['io_uring_setup', 425, ['1, 0']],
    ['userfaultfd', 323, ['0']],
    ['perf_event_open', 298, ['0, 0, -1, -1, 0']],
    ['mount', 165, ['0, 0, 0, 0, 0']],
    ['clone with a new namespace', 56, ['0x10000011, 0, 0, 0, 0']],
    ['typing into a terminal', 16, ['0, 0x5412, 0']],
  ])('%s is refused', async (_name, number, args) => {
    const getpid = await agent.exec('python', syscall(39))
    expect(getpid.stdout).toBe('ok\n') // the probe itself works
    expect((await agent.exec('python', syscall(number, ...args))).stdout).toBe('EPERM\n')
  })

  test('only sockets of ordinary families are made', async () => {
    const code = `
import socket
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_VSOCK, socket.AF_PACKET, 38):
    try: socket.socket(family, socket.SOCK_STREAM); print("ok")
    except OSError as e: print(e.errno)`
    expect((await agent.exec('python', code)).stdout).toBe('ok\nok\nok\n97\n97\n97\n')
    const pairs = `
import socket
for family in (socket.AF_UNIX, socket.AF_VSOCK):
    try: socket.socketpair(family); print("ok")
    except OSError as e: print(e.errno)`
    expect((await agent.exec('python', pairs)).stdout).toBe('ok\n97\n')
  })
})

describe('the host', () => {
  test('the server environment, its key and its arguments are nowhere inside', async () => {
    expect(process.env['THEAZO_TEST_SECRET']).toBe(secret)
    expect(execFileSync('env', { encoding: 'utf8' })).toContain(secret)
    const all = await bash('env; cat /proc/*/environ /proc/*/cmdline | tr "\\0" "\\n"')
    expect(all).toContain('HOME=/home/agent')
    expect(all).not.toContain(secret)
    expect(all).not.toContain(local.apiKey)
    expect(all).not.toContain(dataDir)
  })

  test('a descriptor that the server has inherited is not passed on', async () => {
    const path = join(dataDir, 'inherited')
    writeFileSync(path, 'inherited text')
    // A server started with descriptor 9 open, as a service manager or a shell would.
    const program = `
      const { createLocalTheazo } = await import(${JSON.stringify(import.meta.resolve('@theazo/server'))})
      const { Theazo } = await import(${JSON.stringify(import.meta.resolve('@theazo/core'))})
      await using local = await createLocalTheazo()
      const agent = await (await new Theazo(local).sessions.forUser('u')).agents.create()
      const own = (await import('node:fs')).readFileSync(9, 'utf8')
      const { stdout } = await agent.exec('bash', 'ls /proc/*/fd | sort -u | tr "\\\\n" " "; cat <&9')
      console.log(JSON.stringify({ own, stdout }))`
    const command = `exec 9< ${path}; exec "$0" --input-type=module -e "$1"`
    const output = execFileSync('bash', ['-c', command, process.execPath, program], { encoding: 'utf8' })
    const { own, stdout } = JSON.parse(output)
    expect(own).toBe('inherited text')
    expect(stdout).not.toContain('inherited text')
    expect(stdout).not.toMatch(/(^|\s)9(\s|$)/)
  })

  test('host processes are not there to see or to signal', async () => {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    expect(pids).toContain(String(process.pid))
    const seen = (await bash('ls /proc | grep -E "^[0-9]+$"')).split('\n')
    expect(seen.length).toBeLessThan(10)
    expect(await bash(`cat /proc/${process.pid}/cmdline; kill -0 ${process.pid}`)).toMatch(/No such/)
  })

  test('host files are not there: data folder, home, /tmp, other agents', async () => {
    const session = await new Theazo(local).sessions.forUser('isolation')
    await using other = await session.agents.create()
    await other.exec('bash', 'echo theirs > secret')
    const theirs = join(agentFolder(other), 'workspace/secret')
    writeFileSync(join(dataDir, 'control'), 'here')
    for (const path of [
      theirs,
      join(dataDir, 'control'),
      join(dataDir, 'api-key'),
      '/etc/shadow',
      '/root',
      '/sys',
      '/var',
    ]) {
      expect(statSync(path)).toBeDefined()
      expect(await bash(`ls ${path}`)).toMatch(/No such file|cannot access/)
    }
  })

  test('a link to a host file leads nowhere, and terminating follows no link', async () => {
    const outside = join(dataDir, 'precious')
    writeFileSync(outside, 'kept')
    const session = await new Theazo(local).sessions.forUser('isolation')
    const linker = await session.agents.create()
    const { stdout } = await linker.exec(
      'bash',
      `ln -s ${dataDir} folder; ln -s ${outside} file; cat file; cat folder/precious`,
    )
    expect(stdout).toBe('')
    await linker.terminate()
    expect(readFileSync(outside, 'utf8')).toBe('kept')
  })
})

describe('the network', () => {
  let listener: Server
  let port: number
  beforeAll(async () => {
    listener = createServer((socket) => socket.end('hello from the host')).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    port = (listener.address() as { port: number }).port
  })
  afterAll(() => void listener.close())

  test('a port of the host answers the host, and not the sandbox', async () => {
    const control = connect(port, '127.0.0.1')
    const [hello] = await once(control, 'data')
    expect(String(hello)).toBe('hello from the host')
    expect(await bash(`exec 3<> /dev/tcp/127.0.0.1/${port} && cat <&3`)).toMatch(/Connection refused/)
  })

  test('an abstract socket of the host is not reachable', async () => {
    const name = `theazo-test-${process.pid}`
    const abstract = createServer((socket) => socket.end('hello')).listen(`\0${name}`)
    await once(abstract, 'listening')
    try {
      const [hello] = await once(connect(`\0${name}`), 'data')
      expect(String(hello)).toBe('hello')
      const code = `import socket\ns = socket.socket(socket.AF_UNIX)\nprint(s.connect_ex("\\0${name}"))`
      expect((await agent.exec('python', code)).stdout).toBe('111\n')
    } finally {
      abstract.close()
    }
  })

  test('there is a loopback of its own, and no other interface or route', async () => {
    const code = `
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].sendall(b"own loopback")
print(client.recv(100).decode(), [name for _, name in socket.if_nameindex()])
print(open("/proc/net/route").read().count("\\n"))`
    expect((await agent.exec('python', code)).stdout).toBe("own loopback ['lo']\n1\n")
  })
})

describe('limits that hold without cgroups', () => {
  test('processes, open files, core dumps and the size of one file', async () => {
    expect(await bash('ulimit -u; ulimit -n; ulimit -c; ulimit -f')).toBe('512\n4096\n0\n2097152')
    const forks = 'for i in $(seq 600); do sleep 60 & done 2>&1 | grep -c "Resource temporarily unavailable"'
    expect(await bash(`(${forks}) ; kill $(jobs -p) 2>/dev/null; true`)).not.toBe('0')
    expect((await agent.exec('bash', 'echo still here')).stdout).toBe('still here\n')
  })

  test('/tmp and /dev/shm are bounded', async () => {
    for (const folder of ['/tmp', '/dev/shm']) {
      expect(await bash(`head -c 1M /dev/zero > ${folder}/small && echo fits`)).toBe('fits')
      expect(await bash(`head -c 300M /dev/zero > ${folder}/big`)).toMatch(/No space left/)
    }
  })
})
