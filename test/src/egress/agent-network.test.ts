// Agents with network access, from the API to the target host. A network namespace stands in for the internet.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '@theazo/core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { processesOf, residentBytes, statusOf } from '../support/host-processes.ts'
import { outputOf } from '../support/each-server.ts'
import { metricsOf } from '../support/metrics.ts'
import {
  canCreateTestInternet,
  type ReceivedRequest,
  type TestInternet,
  type TestInternetServer,
  withTestInternet,
} from './test-internet.ts'

let internet: TestInternet
withTestInternet((opened) => void (internet = opened))

const allow = ['one.example.org', '*.below.example.org', '*.example.org:22', '*.example.org:23', 'other.test:8080']

/** The egress records in the server's log. */
function logged(server: TestInternetServer): Record<string, unknown>[] {
  const lines = server.process.output.err.split('\n').filter((line) => line.includes('"msg":"egress"'))
  return lines.map((line) => JSON.parse(line))
}

/** Egress sockets of the server with this process id alone: other tests run servers at the same time. */
function socketsOf(isRoot: boolean, pid: number | undefined): string[] {
  const user = known.uid
  const base = isRoot ? '/var/lib/theazo' : join(internet.folder, 'plain/tmp', `theazo-${user}`)
  const found: string[] = []
  for (const name of readdirSync(join(base, 'temporary'))) {
    if (!name.startsWith(`${pid}-`)) continue
    const folder = join(base, 'temporary', name, 'egress')
    try {
      found.push(...readdirSync(folder).map((socket) => join(folder, socket)))
    } catch {} // the server opened no socket
  }
  return found
}
const known = { uid: 0 }

/**
 * The forwarder passes connections on: it is the child of pid 1 with the priority of code; reapers have the
 * supervisor's priority.
 */
const findForwarder = `
import os
def is_forwarder(pid):
    try: fields = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()
    except OSError: return False
    return fields[1] == '1' and fields[16] == '10' and fields[0] not in 'ZX'
def forwarders(): return [int(pid) for pid in os.listdir('/proc') if pid.isdecimal() and is_forwarder(pid)]
`

describe.runIf(canCreateTestInternet).each([true, false])('agent network access, with a root server: %s', (isRoot) => {
  let server: TestInternetServer
  let agent: Agent
  beforeAll(async () => {
    server = await internet.startServer(isRoot)
    known.uid = statSync(join(internet.folder, isRoot ? 'root' : 'plain', 'data')).uid
    agent = await server.newAgent(allow)
  })
  afterAll(async () => await server[Symbol.asyncDispose]())
  beforeEach(async () => await internet.act('forget'))

  test('an agent shows its network policy', async () => {
    expect(agent.data.network).toEqual({ allow })
    expect((await server.theazo.agents.get(agent.id)).data.network).toEqual({ allow })
    expect((await server.newAgent()).data).not.toHaveProperty('network')
  })

  test.each([
    ['bash', 'curl -sS http://one.example.org/', 'plain HTTP by curl'],
    ['bash', 'curl -sSk https://one.example.org/', 'TLS by curl'],
    [
      'python',
      'import urllib.request as u\nprint(u.urlopen("http://one.example.org/").read().decode())',
      'HTTP in Python',
    ],
    [
      'python',
      'import ssl, urllib.request as u\nprint(u.urlopen("https://one.example.org/", context=ssl._create_unverified_context()).read().decode())',
      'TLS in Python',
    ],
    ['typescript', 'console.log(await (await fetch("http://one.example.org/")).text())', 'HTTP in a fresh node'],
    ['typescript', 'console.log(await (await fetch("http://one.example.org/")).text())', 'HTTP in a warm node'],
    [
      'typescript',
      'process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; process.removeAllListeners("warning"); console.log(await (await fetch("https://one.example.org/")).text())',
      'TLS in a warm node',
    ],
    [
      'typescript',
      'import { get } from "node:http"; get("http://one.example.org/", (answer) => answer.pipe(process.stdout))',
      'HTTP with node:http',
    ],
    [
      'bash',
      `/opt/node/bin/node -e 'fetch("http://one.example.org/").then((a) => a.text()).then(console.log)'`,
      'a node that Bash starts',
    ],
  ] as const)('%s reaches an allowed host: %s %s', async (lang, code, _what) => {
    expect(await outputOf(agent, lang, code)).toMatch(/^hello one\.example\.org at (::ffff:)?93\.184\.1\.1$/)
  })

  test.each([
    ['a subdomain of a *. pattern', 'http://deep.below.example.org/', 'hello deep.below.example.org at 93.184.1.1'],
    ['another port if the policy names it', 'http://other.test:8080/', 'hello other.test:8080 at 93.184.1.2'],
    ['no other name', 'http://two.example.org/', 'theazo: two.example.org:80 is not'],
    ['not the domain of a *. pattern itself', 'http://below.example.org/', 'theazo: below.example.org:80 is not'],
    ['no other port', 'http://one.example.org:8080/', 'theazo: one.example.org:8080 is not'],
    ['not the default port if the policy names another one', 'http://other.test/', 'theazo: other.test:80 is not'],
    ['no private address', 'http://10.13.13.13/', 'theazo: 10.13.13.13:80 is not'],
  ])('an agent reaches %s', async (_what, url, answer) => {
    expect(await outputOf(agent, 'bash', `curl -sS ${url}`)).toContain(answer)
  })

  test('an agent reaches only public addresses, even with a policy that allows all hosts', async () => {
    await using any = await server.newAgent(['*', '*:8080'])
    expect(await outputOf(any, 'bash', 'curl -sS http://one.example.org/ http://six.example.org/')).toMatch(
      /^hello one.* 93\.184\.1\.1\nhello six.* 2606:2800::1$/,
    )
    for (const name of ['private', 'mixed', 'metadata', 'loopback', 'own']) {
      expect(await outputOf(any, 'bash', `curl -sS http://${name}.example.org/`)).toBe(
        `theazo: ${name}.example.org resolves to an address that is not public`,
      )
    }
    for (const host of ['169.254.169.254', '10.13.13.13', '93.185.1.1']) {
      expect(await internet.act('control', { url: `http://${host}/` })).toBe(200)
      expect(await outputOf(any, 'bash', `curl -sS http://${host}/`)).toBe(
        `theazo: ${host} is an address that is not public`,
      )
    }
    expect(await outputOf(any, 'bash', 'curl -sS --noproxy "*" -m 2 http://93.184.1.1/')).toMatch(/^curl: \(7\)/)
    expect(
      (await internet.act<ReceivedRequest[]>('seen'))
        .filter(({ to }) => !/93\.184|2606/.test(to))
        .map(({ url }) => url),
    ).toEqual(
      ['/', '/', '/'], // the control requests
    )
  })

  test('Python and node report the reason of a refusal', async () => {
    const python =
      'import urllib.request as u\ntry: u.urlopen("https://two.example.org/")\nexcept OSError as e: print(e)'
    expect(await outputOf(agent, 'python', python)).toContain(
      "two.example.org:443 is not in this agent's network.allow",
    )
    expect(await outputOf(agent, 'bash', 'curl -sSv https://two.example.org/ 2>&1')).toContain('is not in this agent')
  })

  test('an agent without network access has no proxy, socket or variables', async () => {
    await using none = await server.newAgent()
    const code = 'env | grep -i proxy; ls -a /run; exec 3<> /dev/tcp/127.0.0.1/3128; ls /proc/[0-9]*/fd > /dev/null'
    expect(await outputOf(agent, 'bash', 'env | grep -ic proxy; ls /run')).toBe('7\ntheazo\ntheazo-egress')
    const said = await outputOf(none, 'bash', code)
    expect(said.split('\n').slice(0, 3)).toEqual(['.', '..', 'theazo'])
    expect(said).toContain('Connection refused')
    await using empty = await server.newAgent([])
    expect([empty.data.network, await outputOf(empty, 'bash', 'ls /run')]).toEqual([{ allow: [] }, 'theazo'])
  })

  test('variables of an exec override the proxy variables', async () => {
    const code = 'echo $https_proxy+$HTTPS_PROXY+$http_proxy+$no_proxy'
    const { stdout } = await agent.exec('bash', code, { env: { HTTPS_PROXY: 'http://mine', no_proxy: 'x' } })
    expect(stdout).toBe('+http://mine+http://127.0.0.1:3128+x\n')
    const fetching = 'console.log(await fetch("http://one.example.org/").then((a) => a.text(), (e) => e.cause.code))'
    expect(await outputOf(agent, 'typescript', fetching)).toContain('hello')
    const ended = await agent.exec('typescript', fetching, { env: { HTTP_PROXY: 'http://127.0.0.1:9' } })
    expect(ended.stdout).toBe('ECONNREFUSED\n')
  })

  test('another agent cannot connect to the egress socket of an agent', async () => {
    await using other = await server.newAgent(['two.example.org'])
    expect(await outputOf(other, 'bash', 'curl -sS http://two.example.org/')).toContain('hello')
    expect(await outputOf(other, 'bash', 'curl -sS http://one.example.org/')).toContain('is not in this agent')
    const direct = (name: string): string =>
      `curl -sS --unix-socket /run/theazo-egress http://${name}.example.org/ --request-target http://${name}.example.org/`
    expect(await outputOf(other, 'bash', direct('two'))).toContain('hello') // only under its own policy
    expect(await outputOf(other, 'bash', direct('one'))).toContain('is not in this agent')
    const sockets = socketsOf(isRoot, server.process.child.pid)
    expect(sockets.length).toBeGreaterThanOrEqual(2)
    for (const path of sockets) {
      expect(statSync(path).isSocket()).toBe(true)
      expect(statSync(path).mode & 0o777).toBe(0o600)
      expect(
        await outputOf(other, 'bash', `ls ${path} 2>&1; curl -sS --unix-socket ${path} http://one.example.org/`),
      ).toMatch(/No such file[^]*curl: \(7\)/)
    }
    if (isRoot) expect(new Set(sockets.map((path) => statSync(path).uid)).size).toBe(sockets.length)
    const replace =
      'rm -f /run/theazo-egress; mv /run/theazo-egress /run/x; chmod 777 /run/theazo-egress; touch /run/new'
    expect((await outputOf(other, 'bash', replace)).match(/Read-only file system/g)).toHaveLength(4)
  })

  test('the forwarder is protected from code', async () => {
    const look = `${findForwarder}
[pid] = forwarders()
print(pid)
for what in 'fd', 'mem', 'environ', 'maps':
    try: print(what, os.listdir(f'/proc/{pid}/{what}') if what == 'fd' else open(f'/proc/{pid}/{what}', 'rb').read(1))
    except OSError as e: print(what, e.strerror)`
    const [pid, ...answers] = (await outputOf(agent, 'python', look)).split('\n')
    expect(answers).toEqual(['fd', 'mem', 'environ', 'maps'].map((what) => `${what} Permission denied`))
    const hostPid = hostPidOf(Number(pid))
    const held = readdirSync(`/proc/${hostPid}/fd`).map((fd) => readlinkSync(`/proc/${hostPid}/fd/${fd}`))
    expect(held.map((name) => name.replace(/\[.*/, '')).toSorted()).toEqual([
      '/dev/null',
      '/dev/null',
      '/dev/null',
      'anon_inode:',
      'socket:',
    ])
  })

  /**
   * Host pid of the forwarder with this pid in the sandbox. For a plain user's server several may match, all
   * equivalent.
   */
  function hostPidOf(inside: number): string | undefined {
    return processesOf(isRoot ? uidOf(agent) : known.uid).find((pid) => {
      const nice = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[16]
      return nice === '10' && new RegExp(`^NSpid:\\t\\d+\\t${inside}$`, 'm').test(statusOf(pid))
    })
  }
  /** The owner of the agent's disk, which only the server can see. */
  function uidOf({ id }: Agent): number {
    const instance = readFileSync(join(internet.folder, 'root/data/instance-id'), 'utf8').trim()
    const folder = join('/var/lib/theazo/agents', instance, id)
    return statSync(join(folder, readdirSync(folder).includes('disk.img') ? 'disk.img' : 'workspace')).uid
  }

  test('code that kills or stops the forwarder loses its connections, and can soon open new ones', async () => {
    await using mine = await server.newAgent(allow)
    const kill = `${findForwarder}
import signal, subprocess, time
def reached(): return 'hello' in subprocess.run(['curl', '-sS', '-m', '20', 'http://one.example.org/'], capture_output=True, text=True).stdout
assert reached()
[first] = forwarders()
os.kill(first, signal.SIGSTOP)
time.sleep(0.2)
print(reached())
os.kill(first, signal.SIGKILL)
print(reached())
print(forwarders() != [first], len(forwarders()))
for _ in range(8):
    while not forwarders(): time.sleep(0.02)
    for pid in forwarders(): os.kill(pid, signal.SIGKILL)
started = time.monotonic()
print(reached(), time.monotonic() - started < 15)
try:
    import socket; socket.create_server(('127.0.0.1', 3128))
except OSError as e: print(e.errno == 98)`
    expect(await outputOf(mine, 'python', kill)).toBe('True\nTrue\nTrue 1\nTrue True\nTrue')
    expect(await outputOf(mine, 'bash', 'curl -sS http://one.example.org/')).toContain('hello')
  })

  test('a killed exec does not end the forwarder', async () => {
    await using mine = await server.newAgent(allow)
    const find = `${findForwarder}\nprint(forwarders())`
    const before = await outputOf(mine, 'python', find)
    const killed = 'setsid sleep 1000 & kill -9 $PPID; sleep 1000' // its reaper: what it leaves is killed as an orphan
    expect((await mine.exec('bash', killed)).exitCode).toBe(137)
    expect(before).toMatch(/^\[\d+\]$/)
    expect(await outputOf(mine, 'python', find)).toBe(before)
    expect(await outputOf(mine, 'bash', 'curl -sS http://one.example.org/; pgrep -c sleep')).toMatch(/hello[^]*\n0$/)
  })

  test('an aborted exec ends its connections, even to a silent host', async () => {
    await using mine = await server.newAgent(allow)
    const controller = new AbortController()
    const started = Promise.withResolvers<void>()
    const code = `
import socket
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(b"CONNECT one.example.org:23 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(s.recv(1000).decode(), flush=True)
s.recv(1)`
    const running = mine.exec('python', code, { signal: controller.signal, onStdout: () => started.resolve() })
    await started.promise
    const ofMine = (): unknown[] => logged(server).filter(({ agentId, port }) => agentId === mine.id && port === 23)
    await sleep(500)
    expect(ofMine()).toEqual([])
    controller.abort()
    await expect(running).rejects.toThrow(/abort/i)
    await expect.poll(ofMine).toMatchObject([{ outcome: 'passed', host: 'one.example.org' }])
  })

  test('a client that closes its sending half still receives the rest', async () => {
    const code = `
import socket, time
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(b"CONNECT one.example.org:22 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
assert b' 200 ' in s.recv(1000)
s.sendall(bytes(5_000_000)); s.shutdown(socket.SHUT_WR)
print(s.makefile('rb').read().decode())
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(b"CONNECT one.example.org:23 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
assert b' 200 ' in s.recv(1000)
s.shutdown(socket.SHUT_WR); s.settimeout(4)
try: print(s.recv(1))
except TimeoutError: print('still open')`
    expect(await outputOf(agent, 'python', code)).toBe('5000000 bytes\nstill open')
  })

  test('a hundred concurrent requests are all answered', async () => {
    const code = `
import concurrent.futures, urllib.request
def get(n): return urllib.request.urlopen(f'http://one.example.org/{n}', timeout=30).read()
with concurrent.futures.ThreadPoolExecutor(100) as pool: print(sum(b'hello' in each for each in pool.map(get, range(100))))`
    expect(await outputOf(agent, 'python', code)).toBe('100')
    expect(new Set((await internet.act<ReceivedRequest[]>('seen')).map(({ url }) => url)).size).toBe(100)
  })

  test('a slow reader of a large body receives all of it, and uses little memory', async () => {
    const code = `
import time, urllib.request
answer = urllib.request.urlopen('http://one.example.org/big?bytes=200000000')
time.sleep(1)
print(sum(len(piece) for piece in iter(lambda: answer.read(1 << 20), b'')))`
    const pid = Number(server.process.child.pid)
    const before = residentBytes(pid)
    const running = outputOf(agent, 'python', code)
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, residentBytes(pid))), 200)
    expect(await running).toBe('200000000')
    clearInterval(watch)
    expect(most - before).toBeLessThan(80 * 2 ** 20)
  })

  test('pause and resume keep network access and open connections', async () => {
    await using mine = await server.newAgent(allow)
    const keep = `setsid python3 -c '
import socket, time
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(b"CONNECT one.example.org:22 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
s.recv(1000); open("begun", "w")
time.sleep(2)
s.sendall(bytes(1000)); s.shutdown(socket.SHUT_WR)
open("received.part", "w").write(s.makefile("rb").read().decode())
import os; os.rename("received.part", "received")' > /dev/null 2>&1 & until [[ -e begun ]]; do sleep 0.05; done`
    await mine.exec('bash', keep)
    await mine.pause()
    await sleep(500)
    await mine.resume()
    expect(await outputOf(mine, 'bash', 'curl -sS http://one.example.org/')).toContain('hello')
    expect(await outputOf(mine, 'bash', 'until [[ -e received ]]; do sleep 0.1; done; cat received')).toBe('1000 bytes')
  })

  test('terminate ends its connections and leaves no socket', async () => {
    const before = socketsOf(isRoot, server.process.child.pid).length
    const mine = await server.newAgent(allow)
    const code = `setsid python3 -c '
import socket, time
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(b"CONNECT one.example.org:23 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
s.recv(1000); open("begun", "w"); time.sleep(1000)' > /dev/null 2>&1 & until [[ -e begun ]]; do sleep 0.05; done`
    await mine.exec('bash', code)
    expect(socketsOf(isRoot, server.process.child.pid)).toHaveLength(before + 1)
    await mine.terminate()
    expect(socketsOf(isRoot, server.process.child.pid)).toHaveLength(before)
    await expect.poll(() => logged(server).filter(({ agentId }) => agentId === mine.id)).toMatchObject([{ port: 23 }])
  })

  test('a sandbox that failed has network access again at the next exec', async () => {
    await using mine = await server.newAgent(allow)
    expect(await outputOf(mine, 'bash', 'curl -sS http://one.example.org/')).toContain('hello')
    const before = socketsOf(isRoot, server.process.child.pid)
    const uid = isRoot ? uidOf(mine) : undefined
    if (uid === undefined) return // all sandboxes of a plain user have the same uid
    for (const pid of processesOf(uid)) process.kill(Number(pid), 'SIGKILL')
    await expect.poll(() => socketsOf(isRoot, server.process.child.pid).length).toBe(before.length - 1)
    expect(await outputOf(mine, 'bash', 'curl -sS http://one.example.org/')).toContain('hello')
  })

  test('logs and metrics show connections, and no secrets', async () => {
    await using mine = await server.newAgent(allow)
    await outputOf(
      mine,
      'bash',
      'curl -sS -H "Authorization: secret" "http://one.example.org/secret?secret=1"; curl -sS http://two.example.org/',
    )
    const ofMine = (): Record<string, unknown>[] => logged(server).filter(({ agentId }) => agentId === mine.id)
    await expect
      .poll(() => ofMine())
      .toMatchObject([
        {
          host: 'one.example.org',
          port: 80,
          outcome: 'passed',
          bytesUp: expect.any(Number),
          bytesDown: expect.any(Number),
        },
        { host: 'two.example.org', port: 80, outcome: 'not_allowed', bytesUp: 0, bytesDown: 0 },
      ])
    expect(JSON.stringify(ofMine())).not.toContain('secret')
    const metrics = await metricsOf(server.url)
    expect(metrics).toMatch(/theazo_egress_connections_total\{outcome="passed"\} [1-9]/)
    expect(metrics).toMatch(/theazo_egress_connections_total\{outcome="not_allowed"\} [1-9]/)
    expect(metrics).toMatch(/theazo_egress_bytes_total\{direction="down"\} [1-9]/)
  })

  test('repeated refusals do not fill the log, and the number of omitted lines is logged', async () => {
    await using mine = await server.newAgent(allow)
    const code = `
import http.client
proxy = http.client.HTTPConnection('127.0.0.1', 3128)
for n in range(300):
    proxy.request('GET', 'http://two.example.org/')
    proxy.getresponse().read()`
    await outputOf(mine, 'python', code)
    const ofMine = (): Record<string, unknown>[] => logged(server).filter(({ agentId }) => agentId === mine.id)
    await expect.poll(() => ofMine().length).toBe(200)
    await sleep(10_500)
    await outputOf(mine, 'python', code.replace('300', '1'))
    await expect.poll(() => ofMine().slice(200)).toMatchObject([{ leftOut: 100 }])
  })

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'an agent has network access again after %s and a restart of the server',
    async (signal) => {
      expect(await outputOf(agent, 'bash', 'curl -sS http://one.example.org/')).toContain('hello')
      const { child } = server.process
      child.kill(signal)
      await server[Symbol.asyncDispose]()
      server = await internet.startServer(isRoot)
      expect(socketsOf(isRoot, child.pid)).toEqual([]) // the new server removes the sockets of the killed one
      agent = await server.theazo.agents.get(agent.id)
      expect(agent.data.network).toEqual({ allow })
      expect(await outputOf(agent, 'bash', 'curl -sS http://one.example.org/')).toContain('hello')
      expect(await outputOf(agent, 'bash', 'curl -sS http://two.example.org/')).toContain('is not in this agent')
    },
  )

  test('the operator limits the hosts that agents may request and reach', async () => {
    await server[Symbol.asyncDispose]()
    server = await internet.startServer(isRoot, ['--network-allow', '*.example.org', '--network-allow', 'example.org'])
    agent = await server.theazo.agents.get(agent.id)
    expect(await outputOf(agent, 'bash', 'curl -sS http://one.example.org/')).toContain('hello')
    expect(await outputOf(agent, 'bash', 'curl -sS http://other.test:8080/')).toContain(
      'not among the hosts that this server lets agents reach',
    )
    const fields = await server
      .newAgent(['one.example.org', 'other.test', '*', '*.below.example.org'])
      .catch((e) => e.details.fields)
    expect(Object.keys(fields)).toEqual(['network.allow.1', 'network.allow.2'])
    await server[Symbol.asyncDispose]()
    server = await internet.startServer(isRoot, ['--no-network'])
    agent = await server.theazo.agents.get(agent.id)
    expect(await outputOf(agent, 'bash', 'env | grep -ci proxy; ls /run')).toBe('0\ntheazo')
    await expect(server.newAgent(['one.example.org'])).rejects.toMatchObject({
      details: { fields: { network: [expect.stringContaining('is not available')] } },
    })
  })
})
