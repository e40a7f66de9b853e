import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Theazo } from '@theazo/core'
import { createParser } from 'eventsource-parser'
import { alternate, percentile, type Row } from './measure.ts'

const eventCount = 20_000
const encoder = new TextEncoder()

/** The bytes of a run's stream, in chunks like those of a socket. */
function streamBytes(eventAt: (index: number) => [string, object]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  let text = ''
  for (let id = 1; id <= eventCount; id += 1) {
    const [event, data] = id === eventCount ? ['output', { taskId: 'task_1', text: 'done' }] : eventAt(id)
    text += `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
    if (text.length < 60_000 && id < eventCount) continue
    chunks.push(encoder.encode(text))
    text = ''
  }
  return chunks
}

/** A typical run: forty steps of thought, call and result (2 KiB from a program, 8 KiB from a file), then 40 answer chunks. */
function workingRun(id: number): [string, object] {
  const step = id % 160
  if (step >= 120) return ['output_delta', { taskId: 'task_1', text: ` piece ${id} of the answer` }]
  const call = { taskId: 'task_1', id: `call_${id}`, tool: step % 2 === 0 ? 'run_code' : 'read_file' }
  const code = 'import hashlib\nprint(hashlib.sha256(b"x").hexdigest())\n'.repeat(15)
  const text = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n'.repeat(step % 2 === 0 ? 30 : 120)
  const events: [string, object][] = [
    [
      'thinking',
      { taskId: 'task_1', text: 'First the digest, then a comparison with the one in the file. '.repeat(5) },
    ],
    ['tool_call', { ...call, input: { language: 'python', code } }],
    ['tool_result', { ...call, isError: false, durationMs: 31, output: { text, exitCode: 0 } }],
  ]
  return events[step % 3] ?? ['thinking', {}]
}

/** The smallest events: answer chunks of about twenty characters. */
function smallChunks(id: number): [string, object] {
  return ['output_delta', { taskId: 'task_1', text: ` piece ${id} of the answer` }]
}

/** From bytes in memory to callbacks, compared with eventsource-parser and JSON.parse alone. */
export async function bridgeRows(): Promise<Row[]> {
  return [
    await bridgeRow('a run at work, plain callbacks', workingRun, false, '>= 0.9'),
    await bridgeRow('a run at work, async callbacks', workingRun, true),
    await bridgeRow('smallest events, plain callbacks', smallChunks, false),
  ]
}

async function bridgeRow(
  what: string,
  eventAt: (index: number) => [string, object],
  isAsync: boolean,
  goal?: string,
): Promise<Row> {
  const chunks = streamBytes(eventAt)
  const body = (): ReadableStream<Uint8Array> => {
    let next = 0
    return new ReadableStream(
      {
        pull(controller) {
          const chunk = chunks[next]
          next += 1
          if (chunk) controller.enqueue(chunk)
          else controller.close()
        },
      },
      { highWaterMark: 0 },
    )
  }
  const headers = { 'content-type': 'text/event-stream', 'theazo-features': 'replay' }
  const theazo = new Theazo({
    apiKey: 'th_live_bench',
    baseUrl: 'http://theazo.test',
    fetch: async (url) =>
      String(url).endsWith('/stream') ? new Response(body(), { headers }) : Response.json({ taskId: 'task_1' }),
  })
  let seen = 0
  const count = (): void => void (seen += 1)
  const callback = isAsync ? async (): Promise<void> => count() : count
  const callbacks = {
    onThinking: callback,
    onToolCall: callback,
    onToolResult: callback,
    onOutputDelta: callback,
    onOutput: callback,
  }
  const bridge = async (): Promise<void> => {
    seen = 0
    await theazo.agent('agt_1').run('x').forward(callbacks)
    if (seen !== eventCount) throw new Error(`the bridge emitted ${seen} events`)
  }
  const parse = async (): Promise<void> => {
    let parsed: unknown
    const parser = createParser({ onEvent: ({ data }) => (parsed = JSON.parse(data)) })
    const [reader, decoder] = [body().getReader(), new TextDecoder()]
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      parser.feed(decoder.decode(chunk.value, { stream: true }))
    }
    if (parsed === undefined) throw new Error('nothing was parsed')
  }
  const [ours = [], theirs = []] = await alternate(60, bridge, parse)
  const rates = [ours, theirs].map((times) => eventCount / percentile(times, 50))
  const [us = 0, them = 0] = rates
  const [rate, peerRate] = rates.map((value) => `${(value / 1000).toFixed(2)} M/s`)
  const row = { what: `bridge: ${what}`, ours: rate ?? '', peer: 'parser + JSON.parse', theirs: peerRate ?? '' }
  return { ...row, ratio: us / them, ...(goal && { goal }) }
}

/** 1,000 concurrent streams in one process, compared with 1,000 bare fetches of the same streams. */
export async function concurrentRows(): Promise<Row[]> {
  const streams = 1000
  const perStream = 50
  const open = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    if (!request.url?.endsWith('/stream')) {
      request.resume()
      response.writeHead(202, { 'content-type': 'application/json' }).end('{"taskId":"task_1","agentId":"agt_1"}')
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'theazo-features': 'replay' }).flushHeaders()
    open.add(response.on('close', () => open.delete(response)))
  }).listen(0, '127.0.0.1', 4096)
  await once(server, 'listening')
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  const send = (): void => {
    for (const response of open) {
      for (let id = 1; id <= perStream; id += 1) {
        const [event, data] = id === perStream ? ['output', { text: 'done' }] : smallChunks(id)
        response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
      }
      response.end()
    }
  }
  const measure = async (start: () => Following): Promise<{ bytes: number; rate: number }> => {
    globalThis.gc?.()
    const before = usedBytes()
    const following = Array.from({ length: streams }, start)
    await Promise.all(following.map(({ ready }) => ready))
    globalThis.gc?.()
    const bytes = (usedBytes() - before) / streams
    const startedAt = performance.now()
    send()
    await Promise.all(following.map(({ done }) => done))
    return { bytes, rate: (streams * perStream) / (performance.now() - startedAt) }
  }
  try {
    const theazo = new Theazo({ apiKey: 'th_live_bench', baseUrl })
    let seen = 0
    const ours = (): Following => {
      const run = theazo.agent('agt_1').run('x')
      return { ready: run.taskId, done: run.forward({ onEvent: () => void (seen += 1) }) }
    }
    const bare = (): Following => {
      const ready = fetch(`${baseUrl}/agents/agt_1/stream`)
      return { ready, done: ready.then(parseAll) }
    }
    await measure(bare) // warm-up of connections, pools and code
    await measure(ours)
    seen = 0
    const [them, us] = [await measure(bare), await measure(ours)]
    if (seen !== streams * perStream) throw new Error(`the bridges emitted ${seen} events`)
    const row = (what: string, [mine, its]: [number, number], text: (value: number) => string): Row => {
      return {
        what: `${streams} streams at once: ${what}`,
        ours: text(mine),
        peer: 'bare fetch',
        theirs: text(its),
        ratio: mine / its,
      }
    }
    return [
      row(
        "memory per stream, including the server's part",
        [us.bytes, them.bytes],
        (bytes) => `${(bytes / 1024).toFixed(0)} KiB`,
      ),
      row('events', [us.rate, them.rate], (rate) => `${rate.toFixed(0)} k/s`),
    ]
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

/** One of the concurrent streams. */
interface Following {
  /** Resolves when the stream is open. */
  ready: Promise<unknown>
  /** Resolves when the stream has been read to its end. */
  done: Promise<unknown>
}

async function parseAll(response: Response): Promise<void> {
  const parser = createParser({ onEvent: ({ data }) => JSON.parse(data) as unknown })
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk, { stream: true }))
}

function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
