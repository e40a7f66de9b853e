import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type Agent, Theazo } from '@theazo/core'
import { afterAll, beforeAll } from 'vitest'
import { userOf } from '../support/each-server.ts'
import { selfSigned } from '../support/self-signed.ts'
import { root, type ServerProcess, startServer } from '../support/server-process.ts'

/** A request that reached a host of the test internet. */
export interface ReceivedRequest {
  method: string
  url: string
  headers: string[]
  /** The address of the host. */
  to: string
  /** Size of its body. */
  bytes: number
}

/** How one connection ended, as the proxy reports it. */
export interface ConnectionRecord {
  target?: { host: string; port: number }
  outcome: string
  bytesUp: number
  bytesDown: number
}

/** A Theazo server whose only network is the test internet. */
export interface TestInternetServer extends AsyncDisposable {
  process: ServerProcess
  theazo: Theazo
  /** Base URL for the test, which is outside of the namespace. */
  url: string
  newAgent(allow?: string[]): Promise<Agent>
}

/** A network namespace with hosts at public addresses. Its only device is loopback, so no packet can leave it. */
export interface TestInternet extends AsyncDisposable {
  folder: string
  act<Result>(action: string, options?: object): Promise<Result>
  /** @param args additional flags of `serve`. */
  startServer(isRoot: boolean, args?: string[]): Promise<TestInternetServer>
}

const script = fileURLToPath(new URL('../../fixture/network-world.mjs', import.meta.url))
const amRoot = process.getuid?.() === 0

/** Only root can make the namespaces; in some containers even root cannot. */
export const canCreateTestInternet: boolean =
  amRoot &&
  spawnSync('/usr/bin/unshare', ['--net', '--mount', '/usr/bin/env', 'ip', 'link', 'set', 'lo', 'up']).status === 0

/** 169.254.169.254 is the address of the metadata service of clouds, which returns the machine's credentials. */
const setUp = `
set -e
ip link set lo up
ip route add local 93.184.0.0/16 dev lo
ip -6 route add local 2606:2800::/32 dev lo
for a in 10.13.13.13 169.254.169.254 93.185.1.1; do ip address add $a/32 dev lo; done
mount --bind "$1" /etc/hosts
shift
exec "$@"`

/** Its host names. */
const hosts = `127.0.0.1 localhost
93.184.1.1 one.example.org two.example.org deep.below.example.org example.org
93.184.1.2 other.test
93.184.1.1 mixed.example.org
10.13.13.13 mixed.example.org private.example.org
169.254.169.254 metadata.example.org
127.0.0.1 loopback.example.org
93.185.1.1 own.example.org
2606:2800::1 six.example.org
`

/**
 * Opens a test internet before the tests of the file, and closes it after them. Does nothing if
 * {@link canCreateTestInternet} is false.
 *
 * @param assign receives the test internet before the first test.
 */
export function withTestInternet(assign: (internet: TestInternet) => void): void {
  let internet: TestInternet | undefined
  beforeAll(async () => {
    if (!canCreateTestInternet) return
    internet = await createTestInternet()
    assign(internet)
  })
  afterAll(async () => await internet?.[Symbol.asyncDispose]())
}

export async function createTestInternet(): Promise<TestInternet> {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-net-'))
  chmodSync(folder, 0o755)
  writeFileSync(join(folder, 'hosts'), hosts, { mode: 0o644 })
  const proxy = join(root, 'packages/server/dist/compute/local/egress/egress-proxy.js')
  const program = [process.execPath, script, folder, proxy, JSON.stringify(selfSigned(['one.example.org']))]
  const args = ['--net', '--mount', '/bin/bash', '-c', setUp, 'bash', join(folder, 'hosts'), ...program]
  const child = spawn('/usr/bin/unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('the test internet did not start'))),
  ])
  const act = async <Result>(action: string, options: object = {}): Promise<Result> => {
    const call = request({ socketPath: join(folder, 'admin'), method: 'POST' }).end(
      JSON.stringify({ action, ...options }),
    )
    const [response] = await once(call, 'response')
    const reply = await text(response)
    if (response.statusCode !== 200) throw new Error(reply)
    return JSON.parse(reply) as Result
  }
  return {
    folder,
    act,
    startServer: (isRoot, more) => startInside(child, folder, isRoot, more),
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function startInside(
  internet: ChildProcess,
  folder: string,
  isRoot: boolean,
  more: string[] = [],
): Promise<TestInternetServer> {
  const place = join(folder, isRoot ? 'root' : 'plain')
  mkdirSync(join(place, 'tmp'), { recursive: true })
  chmodSync(place, 0o755)
  const { prefix, node, packages } = known.get(place) ?? userOf(isRoot, place)
  known.set(place, { prefix, node, packages })
  chmodSync(join(place, 'tmp'), 0o1777)
  const enter = [
    '--target',
    String(internet.pid),
    '--net',
    '--mount',
    ...prefix,
    node,
    join(packages, 'server/dist/bin.js'),
  ]
  const serve = ['serve', '--json', '--data-dir', join(place, 'data'), '--drain-seconds', '0', ...more]
  const env = { HOME: place, ...(!isRoot && { TMPDIR: join(place, 'tmp') }) }
  const process = await startServer('/usr/bin/nsenter', [...enter, ...serve], env)
  // The namespace has its own loopback: connections enter it through a Unix socket.
  const relay = createServer({ allowHalfOpen: true }, (outside) => {
    const inside = connect({ path: join(folder, 'server'), allowHalfOpen: true })
    outside.on('error', () => inside.destroy()).on('close', () => inside.destroy())
    inside.on('error', () => outside.destroy()).on('close', () => outside.destroySoon())
    outside.pipe(inside)
    inside.pipe(outside)
  })
  await once(relay.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(relay.address() as AddressInfo).port}/v1`
  const theazo = new Theazo({ baseUrl: url, apiKey: process.apiKey })
  return {
    process,
    theazo,
    url,
    async newAgent(allow) {
      const session = await theazo.sessions.forUser('egress')
      return await session.agents.create(allow && { network: { allow } })
    },
    async [Symbol.asyncDispose]() {
      relay.close()
      await process[Symbol.asyncDispose]()
    },
  }
}

/** User and installation of each server, made once per test internet. */
const known = new Map<string, Pick<ReturnType<typeof userOf>, 'prefix' | 'node' | 'packages'>>()
