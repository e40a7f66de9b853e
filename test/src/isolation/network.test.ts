// Code without network access reaches nothing. All targets listen in a network namespace of this test, so no packet can
// leave it.
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { onEachServer, userOf, outputOf } from '../support/each-server.ts'

/** 169.254.169.254 is the address of the metadata service of clouds; the others stand for a private network. */
const addresses = ['127.0.0.1', '169.254.169.254', '10.13.13.13', '192.168.77.1', '::1', 'fd00:ec2::254']
const setUp = `
set -e
for a in ${addresses
  .slice(1)
  .filter((a) => a !== '::1')
  .join(' ')}; do ip address add $a dev lo; done
ip link set lo up
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
exec "$@"`

/** Tries each target and prints the results. The host runs it as the control, and code runs it in the sandbox. */
const probe = `
import errno, json, socket, sys
targets = json.loads(sys.stdin.read())
found = {}
def attempt(name, work):
    try: found[name] = work()
    except socket.timeout: found[name] = 'nothing'
    except OSError as e: found[name] = errno.errorcode.get(e.errno, str(e))
def tcp(address, port):
    with socket.create_connection((address, port), timeout=5) as s:
        s.settimeout(5); s.sendall(b'GET /healthz HTTP/1.0\\r\\n\\r\\n'); return 'answer' if s.recv(100) else 'end'
def udp(address, port):
    with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1); s.sendto(b'query', (address, port)); return 'answer' if s.recv(100) else 'end'
def unix(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5); s.connect(path); return 'answer' if s.recv(100) else 'end'
for a in targets['addresses']:
    for port in targets['ports']: attempt(f'tcp {a} {"server" if port == targets["ports"][0] else port}', lambda: tcp(a, port))
    attempt(f'udp {a} 53', lambda: udp(a, 53))
attempt('unix path', lambda: unix(targets['path']))
attempt('unix abstract', lambda: unix('\\0' + targets['abstract']))
print(json.dumps(found))`

/** Opens a server and the targets, then probes from the host and from the sandbox. */
const program = (packages: string, folder: string): string => `
const { listenTheazo } = await import(${JSON.stringify(join(packages, 'server/dist/index.js'))})
const { Theazo } = await import(${JSON.stringify(join(packages, 'core/dist/index.js'))})
const { createServer } = await import('node:net')
const { createSocket } = await import('node:dgram')
const { spawn } = await import('node:child_process')
const { once } = await import('node:events')
const { text } = await import('node:stream/consumers')
await using server = await listenTheazo({ port: 0, ${'dataDir'}: ${JSON.stringify(join(folder, 'data'))} })
const answer = () => createServer((socket) => socket.on('error', () => {}).end('answer'))
const path = ${JSON.stringify(join(folder, 'socket'))}
const abstract = 'theazo-isolation'
const listeners = [answer().listen(80, '::'), answer().listen(path), answer().listen('\\0' + abstract)]
await Promise.all(listeners.map((listener) => once(listener, 'listening')))
const dns = createSocket('udp6').on('message', (_, { address, port }) => dns.send('answer', port, address))
dns.bind(53, '::')
await once(dns, 'listening')
const port = Number(new URL(server.url).port)
const targets = JSON.stringify({ addresses: ${JSON.stringify(addresses)}, ports: [port, 80], path, abstract })
const probe = ${JSON.stringify(probe)}
const host = spawn('/usr/bin/python3', ['-c', probe], { stdio: ['pipe', 'pipe', 'inherit'] })
host.stdin.end(targets)
const outside = JSON.parse(await text(host.stdout))
const agent = await (await new Theazo({ baseUrl: server.url, apiKey: server.apiKey }).sessions.forUser('u')).agents.create()
const { stdout, stderr } = await agent.exec('python', probe, { stdin: targets })
console.log(JSON.stringify({ outside, inside: stdout ? JSON.parse(stdout) : stderr }))
for (const listener of listeners) listener.close()
dns.close()`

function probed(isRoot: boolean): { outside: Record<string, string>; inside: Record<string, string> } {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-network-'))
  chmodSync(folder, 0o777)
  try {
    const { prefix, node, packages } = userOf(isRoot, folder)
    writeFileSync(join(folder, 'probe.mjs'), program(packages, folder), { mode: 0o644 })
    const [namespace, user] = amRoot
      ? [['--net'], prefix]
      : [
          ['--user', '--map-current-user', '--keep-caps', '--net'],
          ['/usr/bin/setpriv', '--ambient-caps', '-all', '--inh-caps', '-all'],
        ]
    const args = [...namespace, '/bin/bash', '-c', setUp, 'bash', ...user, node, join(folder, 'probe.mjs')]
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder, TMPDIR: isRoot ? tmpdir() : folder }
    return JSON.parse(execFileSync('/usr/bin/unshare', args, { encoding: 'utf8', cwd: '/', env }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const amRoot = process.getuid?.() === 0
const makesNamespaces =
  spawnSync('/usr/bin/unshare', amRoot ? ['--net', 'true'] : ['--user', '--net', 'true']).status === 0

describe.runIf(makesNamespaces)('a service on the host of the server', () => {
  test.each(amRoot ? ['root', 'a plain user'] : ['a plain user'])(
    'can be reached by the host and not by code, for a server that is %s',
    (user) => {
      const { outside, inside } = probed(user === 'root')
      const answers = Object.entries(outside).filter(([, what]) => what === 'answer')
      // The server listens on 127.0.0.1 only.
      expect(Object.keys(outside).filter((name) => outside[name] !== 'answer')).toEqual(
        addresses.slice(1).map((address) => `tcp ${address} server`),
      )
      expect(answers.map(([name]) => name)).toContain('tcp 169.254.169.254 80')
      for (const [name] of answers) {
        expect([name, inside[name]]).toEqual([
          name,
          expect.stringMatching(/^(ECONNREFUSED|ENETUNREACH|ENOENT|EADDRNOTAVAIL|nothing)$/),
        ])
      }
    },
  )
})

onEachServer((server) => {
  test('the sandbox has its own loopback, and no other interface or route', async () => {
    const outside = createServer()
    await once(outside.listen(`\0theazo-probe-${process.pid}`), 'listening')
    const code = `
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].sendall(b"own loopback")
print(client.recv(100).decode(), [name for _, name in socket.if_nameindex()])
print(open("/proc/net/route").read().count("\\n"), [l.split()[-1] for l in open("/proc/net/if_inet6")])
print([l.split()[7:] for l in open("/proc/net/unix").readlines()[1:]])`
    const [loopback, routes, sockets] = (await outputOf(server.agent, 'python', code)).split('\n')
    expect([loopback, routes]).toEqual(["own loopback ['lo']", "1 ['lo']"])
    // The supervisor and its reapers have sockets; these have no names, so nothing can connect to them.
    expect(sockets).toMatch(/^\[(\[\](, )?)*\]$/)
    expect(readFileSync('/proc/net/unix', 'utf8')).toContain(`@theazo-probe-${process.pid}`)
    outside.close()
  })

  test('only its own host name resolves', async () => {
    const code = `
import socket
print(socket.gethostbyname("localhost"), socket.gethostbyname("sandbox"))
for name in ("example.invalid", "metadata.google.internal"):
    try: print(socket.getaddrinfo(name, 80))
    except socket.gaierror: print("not known")`
    expect(await outputOf(server.agent, 'python', code)).toBe('127.0.0.1 127.0.0.1\nnot known\nnot known')
  })

  test.each([
    ['an interface', 'ip link add dummy0 type dummy', 'ip link show lo'],
    ['a route', 'ip route add default dev lo', 'ip route show'],
    ['an address', 'ip address add 10.0.0.1/8 dev lo', 'ip address show lo'],
    ['a veth pair', 'ip link add name veth7 type veth peer name veth8', 'ip -o link'],
  ])('code cannot add %s', async (_what, refused, control) => {
    expect((await server.agent.exec('bash', control)).exitCode).toBe(0)
    expect(await outputOf(server.agent, 'bash', refused)).toMatch(/not permitted/)
  })

  test('two agents do not share a loopback, by port or by abstract name', async () => {
    await using other = await server.newAgent()
    const started = Promise.withResolvers<void>()
    const serve = `
import os, socket, sys
tcp = socket.create_server(("127.0.0.1", 4444)); unix = socket.socket(socket.AF_UNIX)
unix.bind("\\0theazo-shared"); unix.listen()
print("listening", flush=True); sys.stdin.read()
import time; time.sleep(1000)`
    const serving = other.exec('python', serve, { onStdout: () => started.resolve() }).catch(() => {})
    await started.promise
    const connect = `
import socket
for family, name in ((socket.AF_INET, ("127.0.0.1", 4444)), (socket.AF_UNIX, "\\0theazo-shared")):
    print(socket.socket(family).connect_ex(name))`
    expect(await outputOf(other, 'python', connect)).toBe('0\n0')
    expect(await outputOf(server.agent, 'python', connect)).toBe('111\n111')
    await other.terminate()
    await serving
  })
})
