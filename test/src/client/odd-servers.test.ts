// Servers that use the freedom of the contract in unusual ways, or violate it.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { type AgentEvent, Theazo, type TheazoOptions } from '@theazo/core'
import { afterEach, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { errorOf } from '../support/error-of.ts'
import { watchLeaks } from './leaks.ts'
import { ClientTestClock } from '../support/clock.ts'

watchLeaks()

type Handler = (request: IncomingMessage, response: ServerResponse, streamNumber: number) => void

const apiKey = 'th_live_key-of-the-odd-server'
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** Answers streams with `onStream` and other requests with `onCall`; a POST of a run is accepted as task_1. */
async function serve(
  { onStream, onCall }: { onStream?: Handler; onCall?: Handler },
  options: TheazoOptions = {},
): Promise<{ theazo: Theazo; stop: () => Promise<void> }> {
  let streams = 0
  const server = createServer((request, response) => {
    request.resume()
    if (request.url?.endsWith('/stream')) {
      streams += 1
      response.writeHead(200, { 'content-type': 'text/event-stream', ...features })
      response.flushHeaders()
      onStream?.(request, response, streams)
    } else if (request.url?.endsWith('/run')) {
      response.writeHead(202, features).end('{"taskId":"task_1","agentId":"agt_1"}')
    } else {
      onCall?.(request, response, streams)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async (): Promise<void> => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }
  closers.push(stop)
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { theazo: new Theazo({ apiKey, baseUrl, clock: new ClientTestClock(), ...options }), stop }
}

/** Header of every response; a test sets it for its server. */
let features: Record<string, string> = {}
afterEach(() => {
  features = {}
})

const message = (event: string, data: object, id?: string | number): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
const textOf = (event: AgentEvent): string => ('text' in event ? event.text : event.type)
const task = { id: 'task_1', agentId: 'agt_1', prompt: '', cost: { amount: 1, currency: 'usd' }, createdAt: '' }

test('a run still ends if its last event falls between two connections to a server without replay', async () => {
  const { theazo } = await serve({
    onStream: (_request, response, number) => {
      if (number === 1) response.end(message('thinking', { text: 'hm' }))
      else response.write(': heartbeat\n\n')
    },
    onCall: (_request, response) => {
      response.end(
        JSON.stringify({ id: 'agt_1', status: 'idle', task: { ...task, status: 'completed', output: 'it' } }),
      )
    },
  })
  const run = theazo.agent('agt_1').run('x')
  const [events, result] = await Promise.all([collect(run), run.result()])
  expect(events.map(textOf)).toEqual(['hm', 'it'])
  expect(events.at(-1)?.gap).toBe(true)
  expect(result).toEqual({ taskId: 'task_1', output: 'it', cost: { amount: 1, currency: 'usd' } })
})

test('a result rejects if the server is permanently gone', async () => {
  const { theazo, stop } = await serve({ onStream: (_request, response) => response.write(': hello\n\n') })
  const run = theazo.agent('agt_1').run('x')
  await run.taskId
  const result = errorOf(run.result())
  await stop()
  expect(await result).toMatchObject({ name: 'ConnectionError' })
})

test.each([
  ['from 0', (n: number) => n],
  ['the same text', () => 'task_1'],
  ['empty', () => ''],
  ['too large for an exact number', (n: number) => `${10n ** 18n + BigInt(n)}`],
  ['texts', (n: number) => `e-${n}`],
])('ids that are %s lose no event', async (_what, idOf) => {
  const { theazo } = await serve({
    onStream: (_request, response) => {
      for (let n = 0; n < 4; n += 1) response.write(message('thinking', { text: `${n}` }, idOf(n)))
      response.write(message('output', { text: 'end' }, idOf(4)))
    },
  })
  const events = await collect(theazo.agent('agt_1').run('x'))
  expect(events.map(textOf)).toEqual(['0', '1', '2', '3', 'end'])
  expect(events.some(({ gap }) => gap)).toBe(false)
})

test('ids that start again after a disconnect lose no event, and the gap is reported', async () => {
  const { theazo } = await serve({
    onStream: (_request, response, number) => {
      if (number === 1) response.end(message('thinking', { text: 'a' }, 7))
      else response.write(message('thinking', { text: 'b' }, 1) + message('output', { text: 'end' }, 2))
    },
    onCall: (_request, response) => response.end(JSON.stringify({ id: 'agt_1', status: 'running', task: null })),
  })
  const events = await collect(theazo.agent('agt_1').run('x'))
  expect(events.map((event) => [textOf(event), event.gap])).toEqual([
    ['a', undefined],
    ['b', true],
    ['end', undefined],
  ])
})

test('the client gives up on a server that sends one event and closes, on every connection', async () => {
  let connections = 0
  const { theazo } = await serve({
    onStream: (_request, response) => {
      connections += 1
      response.end(`retry: 5000\n\n${message('status', { status: 'idle' })}`)
    },
    onCall: (_request, response) => response.end(JSON.stringify({ id: 'agt_1', status: 'running', task: null })),
  })
  expect(await errorOf(collect(theazo.agent('agt_1').stream()))).toMatchObject({ name: 'StreamError' })
  expect(connections).toBeLessThan(12)
})

test('leaving a loop closes the connection, also of a silent stream', async () => {
  const closed = Promise.withResolvers<void>()
  const { theazo } = await serve({
    onStream: (_request, response) => {
      response.write(message('thinking', { text: 'a' }))
      response.on('close', closed.resolve)
    },
  })
  const events = theazo.agent('agt_1').run('x')[Symbol.asyncIterator]()
  expect((await events.next()).value).toMatchObject({ text: 'a' })
  const pending = events.next()
  await events.return?.()
  expect(await pending).toEqual({ done: true, value: undefined })
  await closed.promise
})

test('an abort of result applies also during the POST of the run', async () => {
  const { theazo } = await serve({})
  /** A POST that never ends unless it is aborted. */
  const posting = (signal: AbortSignal | null | undefined): Promise<Response> =>
    new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
  const slow = new Theazo({
    apiKey,
    baseUrl: theazo.baseUrl,
    fetch: (url, init) => (String(url).endsWith('/run') ? posting(init?.signal) : fetch(url, init)),
  })
  const end = new AbortController()
  const run = slow.agent('agt_1').run('x', { signal: end.signal })
  const reason = new Error('enough')
  expect(await errorOf(run.result({ signal: AbortSignal.abort(reason) }))).toBe(reason)
  const abort = new AbortController()
  const result = errorOf(run.result({ signal: abort.signal }))
  abort.abort(reason)
  expect(await result).toBe(reason)
  end.abort(reason)
  expect(await errorOf(run.taskId)).toBe(reason)
})

const execAnswer = JSON.stringify({ stdout: 'a', stderr: 'b', exitCode: 0, durationMs: 1 })

test('neither a deadline nor an abort waits for a callback', async () => {
  const { theazo } = await serve({ onCall: (_request, response) => response.end(execAnswer) })
  const never = (): Promise<void> => new Promise(() => {})
  const agent = theazo.agent('agt_1')
  const late = await errorOf(agent.exec('bash', 'x', { timeoutMs: 200, onStdout: never }))
  expect(late).toMatchObject({ name: 'TimeoutError', code: 'client_timeout' })
  const abort = new AbortController()
  const reason = new Error('enough')
  const received: string[] = []
  const onStdout = (): void => abort.abort(reason)
  const onStderr = (text: string): number => received.push(text)
  expect(await errorOf(agent.exec('bash', 'x', { signal: abort.signal, onStdout, onStderr }))).toBe(reason)
  expect(received).toEqual([])
})

test('a timeout includes the request for the extensions of the server', async () => {
  const { theazo } = await serve({ onCall: () => {} })
  const error = await errorOf(theazo.agent('agt_1').exec('bash', 'cat', { stdin: 'x', timeoutMs: 100 }))
  expect(error).toMatchObject({ name: 'TimeoutError', message: expect.stringContaining('within 100 ms') })
})

test('no error, hook or event contains the key, even if the server returns it', async () => {
  const seen: unknown[] = []
  const echo = `you sent ${apiKey}`
  const { theazo } = await serve(
    {
      onStream: (_request, response) => {
        response.write(`id: 1\nevent: thinking\ndata: {"text": ${apiKey}\n\n`)
        response.end(message('error', { code: 'oops', message: echo }, 2))
      },
      onCall: (_request, response) => response.writeHead(500, { 'x-request-id': echo }).end(echo),
    },
    { hooks: { onResponse: (event) => seen.push(event), onRetry: (event) => seen.push(event) } },
  )
  const run = theazo.agent('agt_1').run('x')
  const [broken] = await collect(run)
  if (broken?.type !== 'stream_error') expect.fail(`it is ${broken?.type}`)
  seen.push(broken.error, await errorOf(run.result()), await errorOf(theazo.agent('agt_1').refresh()))
  const throwing = (thrown: unknown): Theazo =>
    new Theazo({ apiKey, baseUrl: 'http://127.0.0.1:1', maxRetries: 0, fetch: () => Promise.reject(thrown) })
  seen.push(await errorOf(throwing(new TypeError(echo)).agent('agt_1').refresh()))
  for (const value of seen) {
    expect(inspect(value, { depth: 20, showHidden: true })).not.toContain(apiKey)
    expect(JSON.stringify(value)).not.toContain(apiKey)
  }
})

test.each(['text', undefined, { odd: true }, new Error('socket hang up')])(
  'any value that a custom fetch throws becomes a connection error: %o',
  async (thrown) => {
    const fetch = (): Promise<Response> => Promise.reject(thrown as Error)
    const error = await errorOf(new Theazo({ apiKey, fetch, clock: new ClientTestClock() }).agent('agt_1').refresh())
    expect(error).toMatchObject({ name: 'ConnectionError', code: 'connection_error' })
  },
)

test('an error response with an incomplete body keeps its status, and a 429 is retried', async () => {
  let calls = 0
  const { theazo } = await serve({
    onCall: (_request, response) => {
      calls += 1
      if (calls === 2) return void response.end(execAnswer)
      response.writeHead(calls === 1 ? 429 : 401, { 'content-length': '1000' }).write('{"error":')
      setImmediate(() => response.destroy())
    },
  })
  expect(await theazo.agent('agt_1').exec('bash', 'x')).toMatchObject({ stdout: 'a' })
  expect(await errorOf(theazo.agent('agt_1').exec('bash', 'x'))).toMatchObject({
    name: 'UnauthorizedError',
    status: 401,
  })
})

test.each([Number.NaN, -1, 0])('a timeout of %d is refused, for calls and for runs', async (timeoutMs) => {
  const { theazo } = await serve({})
  const agent = theazo.agent('agt_1')
  expect(await errorOf(agent.exec('bash', 'x', { timeoutMs }))).toMatchObject({ name: 'ConfigurationError' })
  expect(() => agent.run('x', { timeoutMs })).toThrow(/timeoutMs must be/)
  expect(() => new Theazo({ apiKey, timeoutMs })).toThrow(/timeoutMs must be/)
  if (!(timeoutMs >= 0)) expect(() => new Theazo({ apiKey, maxRetries: timeoutMs })).toThrow(/maxRetries must be/)
})

test('an unknown event of a streamed exec is ignored, and an error event keeps its isRetryable', async () => {
  const events = [
    'event: ping\ndata: no JSON\n\n' + message('exit', JSON.parse(execAnswer) as object),
    message('error', { code: 'provider_error', message: 'gone' }),
  ]
  const { theazo } = await serve({
    onCall: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events.shift())
    },
  })
  const options = { onStdout: () => {} }
  expect(await theazo.agent('agt_1').exec('bash', 'x', options)).toMatchObject({ exitCode: 0 })
  const error = await errorOf(theazo.agent('agt_1').exec('bash', 'x', options))
  expect(error).toMatchObject({ name: 'ProviderError', isRetryable: true })
})
