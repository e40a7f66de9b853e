import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { Theazo } from '../client.ts'

const apiKey = 'th_live_0123456789abcdef'
/** The API key with JSON escapes: a text search finds it only after the JSON is parsed. */
const escaped = Array.from(apiKey, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')

const clientOf = (answer: () => Response): Theazo =>
  new Theazo({ apiKey, baseUrl: 'http://server.test', maxRetries: 0, fetch: async () => answer() })
const thrownBy = (work: () => Promise<unknown>): Promise<Error> =>
  work().then(
    () => expect.fail('no error'),
    (error: unknown) => error as Error,
  )

test('no field of an error contains the API key, even if the server sends it back with JSON escapes', async () => {
  const body = `{"error":{"code":"c ${escaped}","message":"m ${escaped}","requestId":"r ${escaped}","details":{"${escaped}":["${escaped}"]}}}`
  const error = await thrownBy(() => clientOf(() => new Response(body, { status: 400 })).agents.get('agt_1'))
  const shown = inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error) + String(error.stack)
  expect(shown).not.toContain(apiKey)
  expect(error.message).toBe('m [redacted]')

  const stream = `event: error\ndata: {"code":"timeout","message":"${escaped}","details":{"a":"${escaped}"}}\n\n`
  const headers = { 'content-type': 'text/event-stream' }
  const streamed = await thrownBy(() =>
    clientOf(() => new Response(stream, { headers }))
      .agent('agt_1')
      .exec('bash', '1', { onStdout: () => {} }),
  )
  expect(inspect(streamed, { depth: 9 }) + JSON.stringify(streamed)).not.toContain(apiKey)
  expect(streamed.message).toBe('[redacted]')
})

test('an endless body is cancelled, and the call rejects with invalid_response', async () => {
  const chunk = new Uint8Array(8 * 1024 * 1024).fill(0x20)
  let isCancelled = false
  const endless = (): ReadableStream<Uint8Array> =>
    new ReadableStream({ pull: (controller) => controller.enqueue(chunk), cancel: () => void (isCancelled = true) })
  const error = await thrownBy(() => clientOf(() => new Response(endless())).agents.get('agt_1'))
  expect(error).toMatchObject({ code: 'invalid_response', isRetryable: false })
  expect(isCancelled).toBe(true)
})

test.each([undefined, null, 7, {}, ['a'], Symbol('x')])(
  'an id must be a string, and the error says so: %o',
  async (id) => {
    const error = await thrownBy(() => clientOf(() => expect.fail('it was sent')).agents.get(id as string))
    expect(error).toMatchObject({ code: 'configuration_error', message: expect.stringContaining('must be a string') })
  },
)

test.each([
  [{ 'x-a': 'a\r\nb: c' }, 'x-a'],
  [{ 'x-a': 'a\0' }, 'x-a'],
  [{ 'x-a': 'ü€' }, 'x-a'],
  [{ 'x a': 'a' }, 'x a'],
  [{ 'x-a': 7 as never }, 'x-a'],
])('a header with forbidden characters is a configuration error: %j', (headers, name) => {
  expect(() => new Theazo({ apiKey, headers })).toThrow(`The header "${name}" has`)
  expect(() => new Theazo({ apiKey, userAgent: 'a\r\nb' })).toThrow('user-agent')
})

test('an idempotency key with forbidden characters is neither sent nor retried', async () => {
  const agent = clientOf(() => expect.fail('it was sent')).agent('agt_1')
  const error = await thrownBy(() => agent.exec('bash', '1', { idempotencyKey: 'a\r\nb' }))
  expect(error).toMatchObject({ code: 'configuration_error', isRetryable: false })
})
