import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { Theazo } from './client.ts'
import { ConfigurationError, TheazoError } from './errors.ts'

const apiKey = 'th_live_secret-of-the-test'
const servers: Server[] = []

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function stopServers(): Promise<void> {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

afterEach(async () => {
  await stopServers()
  delete process.env['THEAZO_API_KEY']
  delete process.env['THEAZO_BASE_URL']
})

const agentBody = JSON.stringify({ id: 'agt_1', sessionId: 'ses_1', status: 'idle' })

/** Answers like the API, with this body. */
function answer(status: number, body: string, headers: Record<string, string> = {}): RequestListener {
  return (_request, response) => response.writeHead(status, headers).end(body)
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    (value) => expect.fail(`no error, but ${inspect(value)}`),
    (error: unknown) => error,
  )
}

async function getFrom(listener: RequestListener, options?: { signal?: AbortSignal; timeoutMs?: number }) {
  const theazo = new Theazo({ apiKey, baseUrl: await serve(listener) })
  return await theazo.agents.get('agt_1', options)
}

describe('set-up', () => {
  test('the key comes from the option, else from THEAZO_API_KEY, else the error names both', async () => {
    const seen: (string | undefined)[] = []
    const baseUrl = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.end(agentBody)
    })
    process.env['THEAZO_API_KEY'] = 'th_live_from_env'
    await new Theazo({ apiKey, baseUrl }).agents.get('agt_1')
    await new Theazo({ baseUrl }).agents.get('agt_1')
    expect(seen).toEqual([`Bearer ${apiKey}`, 'Bearer th_live_from_env'])

    delete process.env['THEAZO_API_KEY']
    expect(() => new Theazo({ baseUrl })).toThrow(/pass \{ apiKey \}.*THEAZO_API_KEY/)
  })

  test('the base URL is taken with or without /v1, and from THEAZO_BASE_URL', async () => {
    expect(new Theazo({ apiKey }).baseUrl).toBe('https://api.theazo.com/v1')
    expect(new Theazo({ apiKey, baseUrl: 'http://localhost:1' }).baseUrl).toBe('http://localhost:1/v1')
    expect(new Theazo({ apiKey, baseUrl: 'http://localhost:1/v1/' }).baseUrl).toBe('http://localhost:1/v1')
    expect(new Theazo({ apiKey, baseUrl: 'https://proxy.test/theazo' }).baseUrl).toBe('https://proxy.test/theazo/v1')
    process.env['THEAZO_BASE_URL'] = 'http://localhost:2'
    expect(new Theazo({ apiKey }).baseUrl).toBe('http://localhost:2/v1')
  })

  test.each(['not a url', 'ftp://localhost', ''])('a base URL that is none is refused: %j', (baseUrl) => {
    expect(() => new Theazo({ apiKey, baseUrl })).toThrow(ConfigurationError)
  })

  test('a key with white space is refused before it reaches a header', () => {
    expect(() => new Theazo({ apiKey: 'th_live_a\nx-evil: 1' })).toThrow(ConfigurationError)
  })

  test('own headers are sent and may replace ours, but never the key', async () => {
    let seen: Record<string, unknown> = {}
    const baseUrl = await serve((request, response) => {
      seen = request.headers
      response.end(agentBody)
    })
    const headers = { 'X-Trace': '1', 'User-Agent': 'mine', Authorization: 'Bearer other' }
    await new Theazo({ apiKey, baseUrl, headers }).agents.get('agt_1')
    expect(seen).toMatchObject({ 'x-trace': '1', 'user-agent': 'mine', authorization: `Bearer ${apiKey}` })
  })

  test('ids are encoded in the path', async () => {
    let path: string | undefined
    const baseUrl = await serve((request, response) => {
      path = request.url
      response.end(agentBody)
    })
    await new Theazo({ apiKey, baseUrl }).agents.get('../a b?c#d')
    expect(path).toBe('/v1/agents/..%2Fa%20b%3Fc%23d')
  })
})

describe('errors', () => {
  test.each([
    [401, 'unauthorized', 'UnauthorizedError', false],
    [402, 'session_limit_exceeded', 'SessionLimitExceededError', false],
    [403, 'forbidden', 'ForbiddenError', false],
    [404, 'not_found', 'NotFoundError', false],
    [409, 'conflict', 'ConflictError', false],
    [422, 'unprocessable_entity', 'UnprocessableEntityError', false],
    [429, 'rate_limited', 'RateLimitedError', true],
    [500, 'internal_error', 'InternalError', true],
    [502, 'provider_error', 'ProviderError', true],
    [504, 'timeout', 'ServerTimeoutError', false],
    [418, 'teapot', 'TheazoError', false],
  ])('an envelope of %i %s is a %s', async (status, code, name, isRetryable) => {
    const envelope = { error: { code, message: 'says why', details: { retryAfter: 2 }, requestId: 'req_1' } }
    const error = await errorOf(getFrom(answer(status, JSON.stringify(envelope))))
    expect(error).toMatchObject({
      name,
      code,
      status,
      message: 'says why',
      requestId: 'req_1',
      isRetryable,
      retryAfterMs: 2000,
    })
    expect(TheazoError.isInstance(error)).toBe(true)
  })

  test.each([
    ['an HTML page', 502, '<html>Bad gateway</html>', 'provider_error'],
    ['an empty body', 401, '', 'unauthorized'],
    ['truncated JSON', 404, '{"error":{"code":"not_fo', 'not_found'],
    ['JSON of another shape', 503, '[1]', 'http_503'],
    ['a code that is a property of every object', 400, '{"error":{"code":"constructor"}}', 'constructor'],
    ['a redirect', 302, '', 'http_302'],
  ])('an error answer with %s keeps its status', async (_what, status, body, code) => {
    const headers = { 'x-request-id': 'req_2', location: 'http://127.0.0.1:1/' }
    const error = await errorOf(getFrom(answer(status, body, headers)))
    expect(error).toMatchObject({ status, code, requestId: 'req_2' })
    expect(TheazoError.isInstance(error)).toBe(true)
  })

  test.each([
    ['HTML', '<html></html>'],
    ['nothing', ''],
  ])('a 200 with %s is an invalid response', async (_what, body) => {
    expect(await errorOf(getFrom(answer(200, body)))).toMatchObject({ name: 'InvalidResponseError', status: 200 })
  })

  test('a refused connection says where and why', async () => {
    const baseUrl = await serve(() => {})
    await stopServers() // its port is free now, and nobody listens there
    const theazo = new Theazo({ apiKey, baseUrl })
    const error = await errorOf(theazo.agents.get('agt_1'))
    expect(error).toMatchObject({ name: 'ConnectionError', code: 'connection_error', isRetryable: true })
    expect((error as Error).message).toMatch(new RegExp(`${baseUrl}/v1: .*ECONNREFUSED`))
  })

  test('a connection reset in the middle of the body is a connection error', async () => {
    const listener: RequestListener = (request, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"id":')
      setImmediate(() => request.socket.destroy())
    }
    expect(await errorOf(getFrom(listener))).toMatchObject({ name: 'ConnectionError' })
  })

  test('the key is in no error, whichever way it is printed', async () => {
    const theazo = new Theazo({ apiKey, baseUrl: await serve(answer(500, 'oops')) })
    const errors = [
      await errorOf(theazo.agents.get('a')),
      await errorOf(new Theazo({ apiKey, baseUrl: 'http://127.0.0.1:1' }).agents.get('a')),
    ]
    for (const value of [...errors, theazo, theazo.agents]) {
      expect(inspect(value, { depth: 20, showHidden: true })).not.toContain('secret-of-the-test')
      expect(JSON.stringify(value)).not.toContain('secret-of-the-test')
    }
  })
})

describe('abort and deadline', () => {
  test('an aborted signal sends nothing and rejects with its reason', async () => {
    let requests = 0
    const reason = new Error('changed my mind')
    const error = await errorOf(getFrom(() => (requests += 1), { signal: AbortSignal.abort(reason) }))
    expect(error).toBe(reason)
    expect(requests).toBe(0)
  })

  test('an abort while waiting rejects with the reason and closes the connection', async () => {
    const abort = new AbortController()
    const closed = Promise.withResolvers<void>()
    const reason = new Error('enough')
    const listener = (request: IncomingMessage): void => {
      request.once('close', closed.resolve)
      abort.abort(reason)
    }
    expect(await errorOf(getFrom(listener, { signal: abort.signal }))).toBe(reason)
    await closed.promise
  })

  test('the deadline covers a body that never ends', async () => {
    const listener: RequestListener = (_request, response) => response.writeHead(200).write('{"id":')
    const error = await errorOf(getFrom(listener, { timeoutMs: 50 }))
    expect(error).toMatchObject({ name: 'TimeoutError', code: 'client_timeout', isRetryable: true })
    expect((error as Error).message).toContain('50 ms')
  })
})
