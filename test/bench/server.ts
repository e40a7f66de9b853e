import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { alternate, percentile, type Row } from './measure.ts'

/** The API: requests per second compared with a bare Hono route, time to create a session, delay of events. */
export async function serverRows(): Promise<Row[]> {
  return [await requestsRow(), await createSessionRow(), await eventRow()]
}

const bin = fileURLToPath(new URL('../../packages/server/dist/bin.js', import.meta.url))
const connections = 16
const roundMs = 1500
const rounds = 7

/**
 * `GET /agents/:id` with key check, rate limit, database and headers, compared with a Hono route that returns the same
 * JSON. Each server runs in its own process.
 */
async function requestsRow(): Promise<Row> {
  const dataDir = mkdtempSync(join(tmpdir(), 'theazo-bench-'))
  try {
    await using server = await start([bin, 'serve', '--port', '0', '--data-dir', dataDir, '--json'])
    const createKey = ['keys', 'create', '--test', '--plan', 'enterprise', '--rpm', '10000000', '--json']
    const { apiKey } = JSON.parse(
      execFileSync(process.execPath, [bin, ...createKey, '--data-dir', dataDir], { encoding: 'utf8' }),
    )
    const { url } = JSON.parse(server.line)
    const session = await new Theazo({ baseUrl: url, apiKey }).sessions.forUser('bench')
    const agent = await session.agents.create()
    await using bare = await start(['--input-type=module', '-e', bareServer, JSON.stringify(agent.data)])
    const request = `GET /v1/agents/${agent.id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${apiKey}\r\n\r\n`
    const ratios: { ours: number; theirs: number }[] = []
    for (let round = -1; round < rounds; round += 1) {
      const ours = await rate(Number(new URL(url).port), request)
      const theirs = await rate(Number(bare.line), request)
      if (round >= 0) ratios.push({ ours, theirs })
    }
    const sorted = ratios.toSorted((a, b) => a.ours / a.theirs - b.ours / b.theirs)
    const { ours = Number.NaN, theirs = 1 } = sorted[Math.floor(rounds / 2)] ?? {}
    return {
      what: 'server: GET /agents/:id over a port',
      ours: `${Math.round(ours)} /s`,
      peer: 'a bare Hono route, same JSON',
      theirs: `${Math.round(theirs)} /s`,
      ratio: ours / theirs,
      goal: '>= 0.5',
    }
  } finally {
    rmSync(dataDir, { recursive: true })
  }
}

/** Runs in the server package's folder, so that it imports the same version of Hono. */
const bareServer = `
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
const agent = JSON.parse(process.argv[1])
const app = new Hono().get('/v1/agents/:id', (c) => c.json(agent))
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => console.log(port))
`

/** Starts a Node program and waits for the first line that it prints. */
async function start(args: string[]): Promise<{ line: string } & AsyncDisposable> {
  const child = spawn(process.execPath, args, { cwd: dirname(dirname(bin)), stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = once(child, 'close')
  const [line] = await once(createInterface(child.stdout), 'line')
  return {
    line: String(line),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/**
 * Requests per second over persistent connections, one request at a time on each. It uses raw sockets because an HTTP client
 * would be slower than the server that it measures. This process never sleeps between responses: a server that wakes it
 * pays for that, and the slower server would pay more often.
 */
async function rate(port: number, request: string): Promise<number> {
  const until = performance.now() + roundMs
  let answers = 0
  const work = Array.from({ length: connections }, async () => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const closed = once(socket, 'close')
    let seen = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      seen += chunk
      const head = seen.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(seen)?.[1])
      if (head < 0 || seen.length < head + 4 + length) return
      if (!seen.startsWith('HTTP/1.1 200')) throw new Error(`the server answered ${seen.slice(0, 200)}`)
      seen = ''
      answers += 1
      if (performance.now() < until) socket.write(request)
      else socket.destroy()
    })
    socket.write(request)
    await closed
  })
  const startedAt = performance.now()
  let isOver = false
  const stayAwake = (): void => void (isOver || setImmediate(stayAwake))
  stayAwake()
  await Promise.all(work).finally(() => (isOver = true))
  return (answers * 1000) / (performance.now() - startedAt)
}

/** Creates a session in-process, compared with the same request without an idempotency key. */
async function createSessionRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const theazo = new Theazo(local)
  const headers = { authorization: `Bearer ${local.apiKey}` }
  const bare = async (): Promise<unknown> => {
    const body = JSON.stringify({ userId: 'bench' })
    return await (await local.fetch(`${local.baseUrl}/sessions`, { method: 'POST', headers, body })).json()
  }
  const [keyed = [], plain = []] = await alternate(1000, () => theazo.sessions.create({ userId: 'bench' }), bare)
  const [ours, theirs] = [percentile(keyed, 50), percentile(plain, 50)]
  return {
    what: 'server: create session in-process, p50, with our client (with an idempotency key)',
    ours: `${ours.toFixed(2)} ms`,
    peer: 'plain request without one',
    theirs: `${theirs.toFixed(2)} ms`,
    ratio: ours / theirs,
    goal: 'ours <= 1 ms',
  }
}

const agentCount = 100
const readersPerAgent = 10
const changes = 1000

/** The time from the call that causes an event until each reader has received it: 1,000 readers on 100 agents, in-process. */
async function eventRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  const session = await new Theazo({ ...local, apiKey }).sessions.forUser('bench')
  const agents = await Promise.all(Array.from({ length: agentCount }, () => session.agents.create()))
  const stop = new AbortController()
  const times: number[] = []
  let startedAt = 0
  let receivedCount = 0
  let all = Promise.withResolvers<void>()
  const readers = agents.flatMap(({ id }) =>
    Array.from({ length: readersPerAgent }, async () => {
      const init = { headers: { authorization: `Bearer ${apiKey}` }, signal: stop.signal }
      const { body } = await local.fetch(`${local.baseUrl}/agents/${id}/stream`, init)
      const read = async (): Promise<void> => {
        const reader = (body ?? new ReadableStream<Uint8Array>()).getReader()
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          if (!Buffer.from(part.value).includes('event: status')) continue
          times.push(performance.now() - startedAt)
          receivedCount += 1
          if (receivedCount === readersPerAgent) all.resolve()
        }
      }
      return { read }
    }),
  )
  const reading = (await Promise.all(readers)).map(({ read }) => read().catch(() => {}))
  for (let change = 0; change < changes; change += 1) {
    const agent = agents[change % agentCount]
    all = Promise.withResolvers<void>()
    receivedCount = 0
    startedAt = performance.now()
    await (change % (2 * agentCount) < agentCount ? agent?.pause() : agent?.resume())
    await all.promise
  }
  stop.abort()
  await Promise.all(reading)
  const sorted = times.toSorted((a, b) => a - b)
  const [p50, p95] = [percentile(sorted, 50), percentile(sorted, 95)]
  return {
    what: `server: from the call that causes an event to its ${agentCount * readersPerAgent} readers, p50`,
    ours: `${p50.toFixed(2)} ms`,
    peer: 'the same, p95',
    theirs: `${p95.toFixed(2)} ms`,
    ratio: p50 / p95,
    goal: 'ours <= 2 ms',
  }
}
