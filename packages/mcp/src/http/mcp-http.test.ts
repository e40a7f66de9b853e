import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectHttp, initialize, listenApp, type ListeningApp, openSession, post } from '../testing/http-server.ts'
import { agentIdOf, textOf } from '../testing/test-client.ts'
import { createTheazoMcpApp, type TheazoMcpAppOptions } from './index.ts'

let local: LocalTheazo
let theazo: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(async () => await local[Symbol.asyncDispose]())

const listen = (options: Partial<TheazoMcpAppOptions> = {}): Promise<ListeningApp> =>
  listenApp({ auth: { type: 'none' }, client: theazo, ...options })
const statusOf = async (agentId: string) => (await theazo.agents.get(agentId)).data.status
const bash = (code: string) => ({ language: 'bash', code })
const call = (name: string, input: object, id = 1) => {
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: input } }
}

/** Checks a refusal: its status, and a JSON-RPC error without a path or a stack. */
async function expectRefusal(response: Response, status: number, code: number, message: RegExp): Promise<void> {
  const text = await response.text()
  expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/json'])
  const { error, ...rest } = JSON.parse(text)
  expect(rest).toEqual({ jsonrpc: '2.0', id: null })
  expect(error).toEqual({ code, message: expect.stringMatching(message) })
  expect(text).not.toMatch(/node_modules|\.[jt]s\b|\bat [\w.]+ \(/)
}

describe('sessions', () => {
  test('each session has its own sandbox, which all its calls use', async () => {
    await using server = await listen()
    await using first = await connectHttp(server.url)
    await using second = await connectHttp(server.url)
    await first.bash('echo one > file')
    expect([await first.bash('cat file'), await second.bash('ls')]).toEqual(['one', '(no output)'])
    expect(server.app.sessionCount).toBe(2)
  })

  test('DELETE ends the session and its sandbox', async () => {
    await using server = await listen()
    const mcp = await connectHttp(server.url)
    const agentId = agentIdOf(await mcp.call('run_code', bash('true')))
    await mcp[Symbol.asyncDispose]()
    await expect.poll(() => statusOf(agentId)).toBe('terminated')
    expect(server.app.sessionCount).toBe(0)
  })

  test('a session without requests ends with its sandbox, also in the middle of a run', async () => {
    await using server = await listen({ idleTimeoutSeconds: 2, answerSeconds: 1 })
    const sessionId = await openSession(server.url)
    const gone = new AbortController()
    const response = await post(server.url, call('run_code', bash('echo started; sleep 59')), {
      sessionId,
      signal: gone.signal,
    })
    gone.abort() // the client is killed: it neither reads nor sends anything more
    expect(response.status).toBe(200)
    const session = await theazo.sessions.forUser('mcp')
    const running = async () => {
      const { data } = await session.agents.list().page()
      return data.filter((agent) => agent.data.status !== 'terminated').length
    }
    await expect.poll(running).toBe(1)
    await expect.poll(running).toBe(0)
    await expectRefusal(
      await post(server.url, call('list_files', {}), { sessionId }),
      404,
      -32_001,
      /^Session not found/,
    )
  })

  test('the end of the server ends every session', async () => {
    const server = await listen()
    const clients = await Promise.all([connectHttp(server.url), connectHttp(server.url)])
    const agents = await Promise.all(clients.map(async (mcp) => agentIdOf(await mcp.call('run_code', bash('true')))))
    await server[Symbol.asyncDispose]()
    expect(await Promise.all(agents.map(statusOf))).toEqual(['terminated', 'terminated'])
    for (const { client } of clients) await client.close()
  })

  test.each(['2025-11-25', '2026-07-28'] as const)(
    'a request of %s that was being checked opens no session after the end',
    async (protocol) => {
      const checking = Promise.withResolvers<void>()
      const checked = Promise.withResolvers<void>()
      const app = createTheazoMcpApp({
        client: theazo,
        protocol,
        auth: {
          type: 'oauth',
          resource: 'https://mcp.example.com/mcp',
          authorizationServers: ['https://login.example.com'],
          async verify() {
            checking.resolve()
            await checked.promise
            return { subject: 'ada' }
          },
        },
      })
      const headers = {
        'content-type': 'application/json',
        authorization: 'Bearer ada',
        'mcp-protocol-version': protocol,
      }
      const init = { method: 'POST', body: JSON.stringify(initialize), headers }
      const response = app.fetch(new Request('http://127.0.0.1/mcp', init))
      await checking.promise
      await app[Symbol.asyncDispose]()
      checked.resolve()
      await expectRefusal(await response, 503, -32_000, /^The server is closing\.$/)
      expect(app.sessionCount).toBe(0)
    },
  )

  test('a request to initialize that is refused leaves no session', async () => {
    await using server = await listen()
    const refused = await post(server.url, initialize, { headers: { accept: 'text/html' } })
    await expectRefusal(refused, 406, -32_000, /^Not Acceptable/)
    expect(server.app.sessionCount).toBe(0)
  })

  test('above maxSessions a new session is refused until one has ended', async () => {
    await using server = await listen({ maxSessions: 1 })
    const mcp = await connectHttp(server.url)
    await expectRefusal(await post(server.url, initialize), 503, -32_000, /^Too many sessions/)
    await mcp[Symbol.asyncDispose]()
    await openSession(server.url)
  })

  test('above maxSessionsPerUser a user is refused, also if the requests arrive together; others are not', async () => {
    const verify = async (token: string) => ({ subject: token })
    const resource = 'https://mcp.example.com/mcp'
    const auth = { type: 'oauth', resource, authorizationServers: ['https://login.example.com'], verify } as const
    await using server = await listen({ auth, maxSessionsPerUser: 2 })
    const open = (user: string) => post(server.url, initialize, { headers: { authorization: `Bearer ${user}` } })
    const responses = await Promise.all(['ada', 'ada', 'ada', 'ada', 'bob'].map(open))
    expect(responses.map(({ status }) => status).toSorted()).toEqual([200, 200, 200, 429, 429])
    const refused = await open('ada')
    expect(refused.headers.get('retry-after')).toBe('30')
    await expectRefusal(refused, 429, -32_000, /^You have 2 sessions\. End one by DELETE, or try again later\.$/)
    const sessionId = responses[4]?.headers.get('mcp-session-id') ?? ''
    const headers = { authorization: 'Bearer bob', 'mcp-session-id': sessionId }
    expect((await fetch(server.url, { method: 'DELETE', headers })).status).toBe(200)
    expect((await open('bob')).status).toBe(200)
  })
})

describe('broken connections', () => {
  /** The events of a response, up to one that contains the text. */
  async function eventsUntil(response: Response, text: string): Promise<string> {
    let events = ''
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      events += chunk
      if (events.includes(text)) break
    }
    return events
  }

  test('a client whose connection broke resumes the stream and gets its result, and no event twice', async () => {
    await using server = await listen()
    const sessionId = await openSession(server.url)
    const broken = new AbortController()
    const message = call('run_code', bash('echo before; until [ -e go ]; do sleep 0.05; done; echo after'))
    const withProgress = { ...message, params: { ...message.params, _meta: { progressToken: 1 } } }
    const response = await post(server.url, withProgress, { sessionId, signal: broken.signal })
    const events = await eventsUntil(response, '"before"')
    broken.abort()
    await (await post(server.url, call('write_file', { path: 'go', content: '' }, 2), { sessionId })).text()

    const [, lastId = ''] = /id: (\d+)\n(?!.*id:)/s.exec(events) ?? []
    const resumed = await fetch(server.url, {
      headers: { accept: 'text/event-stream', 'mcp-session-id': sessionId, 'last-event-id': lastId },
    })
    const rest = await eventsUntil(resumed, '"exitCode"')
    expect(rest).toMatch(/before\\nafter/)
    expect(rest).not.toContain(`id: ${lastId}\n`)
  })

  test('an event id that is not stored is refused', async () => {
    await using server = await listen()
    const sessionId = await openSession(server.url)
    const headers = { accept: 'text/event-stream', 'mcp-session-id': sessionId, 'last-event-id': '999' }
    await expectRefusal(await fetch(server.url, { headers }), 400, -32_000, /event ID/)
  })

  test('a client that stops reading is refused above 100 open responses, and its session ends', async () => {
    await using server = await listen({ idleTimeoutSeconds: 3, answerSeconds: 1 })
    const sessionId = await openSession(server.url)
    const list = (id: number) =>
      server.app.fetch(
        new Request('http://127.0.0.1/mcp', {
          method: 'POST',
          body: JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list' }),
          headers: {
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            'mcp-session-id': sessionId,
            'mcp-protocol-version': '2025-11-25',
          },
        }),
      )
    const responses = await Promise.all(Array.from({ length: 110 }, (_, id) => list(id))) // they arrive together
    const [unread, ...others] = responses.filter(({ status }) => status === 200)
    expect([others.length, responses.filter(({ status }) => status === 429).length]).toEqual([99, 10])
    await expectRefusal(await list(110), 429, -32_000, /^This session has 100 open responses/)
    expect(await unread?.text()).toContain('run_code')
    expect((await list(111)).status).toBe(200)
    await expectRefusal(await list(112), 429, -32_000, /^This session has 100 open responses/)
    await expect.poll(() => server.app.sessionCount).toBe(0)
    expect((await list(113)).status).toBe(404)
  })
})

describe('refused requests', () => {
  let server: ListeningApp
  let sessionId: string
  beforeAll(async () => {
    server = await listen()
    sessionId = await openSession(server.url)
  })
  afterAll(async () => await server[Symbol.asyncDispose]())

  test('a body that is not JSON', async () => {
    for (const session of [{}, { sessionId }]) {
      await expectRefusal(await post(server.url, '{"jsonrpc":', session), 400, -32_700, /^The body is not JSON\.$/)
    }
  })

  test('JSON that is not a message', async () => {
    for (const body of [1, null, 'text', {}, { jsonrpc: '1.0', id: 1, method: 'ping' }]) {
      const response = await post(server.url, JSON.stringify(body), { sessionId })
      await expectRefusal(response, 400, -32_700, /Invalid JSON-RPC message$/)
    }
  })

  test('a batch', async () => {
    const batch = [call('list_files', {}), call('list_files', {}, 2)]
    await expectRefusal(await post(server.url, batch, { sessionId }), 400, -32_600, /^Batches are not supported/)
    await expectRefusal(await post(server.url, [initialize]), 400, -32_600, /^Batches are not supported/)
  })

  test('another content type', async () => {
    const response = await post(server.url, initialize, { headers: { 'content-type': 'text/plain' } })
    await expectRefusal(response, 415, -32_000, /application\/json/)
  })

  test('a body over 4 MiB, with and without its length', async () => {
    const large = { ...call('run_code', bash('x'.repeat(4 * 1024 * 1024))) }
    await expectRefusal(await post(server.url, large, { sessionId }), 413, -32_000, /more than 4194304 bytes/)
    const body = new Blob([JSON.stringify(large)]).stream()
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
    const chunked = await fetch(server.url, { method: 'POST', body, headers, duplex: 'half' } as RequestInit)
    await expectRefusal(chunked, 413, -32_000, /more than 4194304 bytes/)
  })

  test('an unknown session, for every method', async () => {
    const unknown = { sessionId: 'e3b0c442-98fc-4c14-9afb-4c8996fb9242' }
    await expectRefusal(await post(server.url, call('list_files', {}), unknown), 404, -32_001, /Initialize again/)
    await expectRefusal(await post(server.url, initialize, unknown), 404, -32_001, /Initialize again/)
    for (const method of ['GET', 'DELETE']) {
      const headers = { accept: 'text/event-stream', 'mcp-session-id': unknown.sessionId }
      await expectRefusal(await fetch(server.url, { method, headers }), 404, -32_001, /Initialize again/)
    }
  })

  test('no session and no initialize', async () => {
    await expectRefusal(await post(server.url, call('list_files', {})), 400, -32_000, /must be initialize/)
    await expectRefusal(await fetch(server.url), 400, -32_000, /Initialize first/)
  })

  test('a second initialize in one session', async () => {
    await expectRefusal(await post(server.url, initialize, { sessionId }), 400, -32_600, /already initialized/)
  })

  test('a protocol version that nobody knows; initialize answers with one that the server knows', async () => {
    const headers = { 'mcp-protocol-version': '1999-01-01' }
    const response = await post(server.url, call('list_files', {}), { sessionId, headers })
    await expectRefusal(response, 400, -32_000, /Unsupported protocol version/)
    const params = { ...initialize.params, protocolVersion: '1999-01-01' }
    const answer = await (await post(server.url, { ...initialize, params })).text()
    expect(answer).toContain('"protocolVersion":"2025-11-25"')
  })

  test('another method or path', async () => {
    const put = await fetch(server.url, { method: 'PUT', body: '{}' })
    expect(put.headers.get('allow')).toBe('GET, POST, DELETE')
    await expectRefusal(put, 405, -32_000, /^Use POST, GET or DELETE/)
    await expectRefusal(await fetch(server.url.replace('/mcp', '/sse')), 404, -32_600, /The MCP endpoint is \/mcp\.$/)
  })

  test('a second standalone stream of one session', async () => {
    const open = new AbortController()
    const headers = { accept: 'text/event-stream', 'mcp-session-id': sessionId }
    const first = await fetch(server.url, { headers, signal: open.signal })
    expect(first.status).toBe(200)
    await expectRefusal(await fetch(server.url, { headers }), 409, -32_000, /Only one SSE stream/)
    open.abort()
  })

  test('an unknown tool, invalid arguments and invented ids are results that say what is valid', async () => {
    await using mcp = await connectHttp(server.url)
    const answers = {
      nothing: { text: /^There is no tool 'nothing'\. Valid: run_code, / },
      read_file: { text: /^read_file did not run\. path is missing/ },
      wait: { input: { callId: 'call_7' }, text: /^There is no running call 'call_7'/ },
    }
    for (const [name, { text, ...rest }] of Object.entries(answers)) {
      const result = await mcp.call(name, 'input' in rest ? rest.input : {})
      expect([result.isError, textOf(result)]).toEqual([true, expect.stringMatching(text)])
    }
  })

  test('a huge result stays below 1,000,000 bytes', async () => {
    await using mcp = await connectHttp(server.url)
    const result = await mcp.call('run_code', { language: 'python', code: "print('\\x01' * 5_000_000)" })
    expect(JSON.stringify(result).length).toBeLessThan(1_000_000)
  })
})

describe('hosts and origins', () => {
  const requestWith = (headers: Record<string, string>, method = 'POST') => {
    const all = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers }
    return new Request('http://127.0.0.1/mcp', {
      method,
      headers: all,
      ...(method === 'POST' && { body: JSON.stringify(initialize) }),
    })
  }

  test('a host name that is not allowed is refused, so that DNS rebinding does not work', async () => {
    await using server = await listen({ allowedHosts: ['mcp.example.com'] })
    const { fetch } = server.app
    await expectRefusal(await fetch(requestWith({ host: 'evil.example' })), 403, -32_000, /^Host not allowed/)
    await expectRefusal(await fetch(requestWith({ host: '127.0.0.1:80' })), 403, -32_000, /^Host not allowed/)
    expect((await fetch(requestWith({ host: 'mcp.example.com:4021' }))).status).toBe(200)
  })

  test('the case and the port of an allowed host do not matter; what is no host name is refused', async () => {
    await using server = await listen({ allowedHosts: ['MCP.example.com:8443', '[::1]'] })
    const { fetch } = server.app
    for (const host of ['mcp.example.com', 'Mcp.Example.Com:4021', '[::1]:80']) {
      expect((await fetch(requestWith({ host }))).status).toBe(200)
    }
    for (const name of ['https://mcp.example.com', 'mcp.example.com/mcp', '::1', '']) {
      await expect(listen({ allowedHosts: [name] })).rejects.toThrow(`allowedHosts has '${name}'`)
    }
  })

  test('an origin that is not allowed is refused; an allowed one may read the answer', async () => {
    await using server = await listen({ allowedOrigins: ['https://app.example.com'] })
    const { fetch } = server.app
    for (const origin of ['https://evil.example', 'http://app.example.com', 'null']) {
      await expectRefusal(await fetch(requestWith({ host: 'localhost', origin })), 403, -32_000, /^Origin not allowed/)
    }
    for (const origin of ['https://app.example.com', 'http://localhost:6274']) {
      const response = await fetch(requestWith({ host: 'localhost', origin }))
      expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([200, origin])
      expect(response.headers.get('access-control-expose-headers')).toMatch('Mcp-Session-Id')
      const preflight = await fetch(requestWith({ host: 'localhost', origin }, 'OPTIONS'))
      expect(preflight.headers.get('access-control-allow-headers')).toMatch('Authorization')
    }
  })
})

describe('authentication', () => {
  const token = (value: string) => ({ authorization: `Bearer ${value}` })

  test('a static token is required and compared', async () => {
    await using server = await listen({ auth: { type: 'token', token: 'the-right-token-123' } })
    const missing = await post(server.url, initialize)
    expect(missing.headers.get('www-authenticate')).toBe('Bearer')
    await expectRefusal(missing, 401, -32_000, /^The header Authorization is missing/)
    for (const wrong of ['another-token', 'the-right-token-124', 'x'.repeat(20_000)]) {
      const refused = await post(server.url, initialize, { headers: token(wrong) })
      if (refused.status === 431) continue // Node refuses headers over 16 KiB itself
      expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer error="invalid_token"/)
      await expectRefusal(refused, 401, -32_000, /^The token is not valid\.$/)
    }
    await using mcp = await connectHttp(server.url, 'the-right-token-123')
    expect(await mcp.bash('echo fine')).toBe('fine')
  })

  test('with api-key each client uses its own key, and no session of another key', async () => {
    const keys = [
      await local.keys.create({ mode: 'live', plan: 'team' }),
      await local.keys.create({ mode: 'test', plan: 'team' }),
    ]
    const [live = '', other = ''] = keys.map(({ key }) => key)
    const clientOfKey = (apiKey: string) => new Theazo({ ...local, apiKey })
    await using server = await listen({ auth: { type: 'api-key' }, client: undefined, clientOfKey })
    const refused = await post(server.url, initialize, { headers: token('th_live_wrong') })
    await expectRefusal(refused, 401, -32_000, /^The token is not valid\.$/)
    expect(server.app.sessionCount).toBe(0)

    await using mcp = await connectHttp(server.url, live)
    expect(await mcp.bash('id -u')).toMatch(/^\d+$/)
    const sessionId = mcp.transport.sessionId ?? ''
    for (const headers of [token(other), token('th_live_wrong')]) {
      const foreign = await post(server.url, call('list_files', {}), { sessionId, headers })
      await expectRefusal(foreign, 404, -32_001, /^Session not found/)
    }
    await expectRefusal(await post(server.url, call('list_files', {}), { sessionId }), 401, -32_000, /is missing/)
    await using mocked = await connectHttp(server.url, other)
    expect(await mocked.bash('id -u')).not.toMatch(/^\d+$/) // a test key has mocked answers
  })

  test('if the client of a key cannot be created, the token is not blamed and the operator gets the error', async () => {
    const errors: unknown[] = []
    const clientOfKey = (): Theazo => {
      throw new Error('the vault at /etc/vault is down')
    }
    const onError = (error: unknown) => errors.push(error)
    await using server = await listen({ auth: { type: 'api-key' }, client: undefined, clientOfKey, onError })
    const response = await post(server.url, initialize, { headers: token('th_live_any') })
    await expectRefusal(response, 500, -32_000, /^Internal error\.$/)
    expect(errors).toEqual([new Error('the vault at /etc/vault is down')])
  })

  test.each(['/', '/mcp', '/theazo/mcp', '/a:b/*'])(
    'the metadata of the resource %s is at the URL of the 401',
    async (path) => {
      const resource = `https://example.com${path}`
      const auth = { type: 'oauth', resource, authorizationServers: [], verify: async () => undefined } as const
      await using server = await listen({ auth })
      const challenge = (await post(server.url, initialize)).headers.get('www-authenticate')
      const [, url = ''] = /resource_metadata="([^"]+)"/.exec(challenge ?? '') ?? []
      const answer = await fetch(new URL(new URL(url).pathname, server.url))
      expect([answer.status, await answer.json()]).toMatchObject([200, { resource }])
      const other = await fetch(new URL('/.well-known/oauth-protected-resource/other', server.url))
      await expectRefusal(other, 404, -32_600, /^There is nothing here/)
    },
  )

  test('with oauth each subject is a user, and clients find the authorization server', async () => {
    const users: Record<string, object> = {
      ada: { subject: 'user_ada', scopes: ['sandbox'] },
      bob: { subject: 'user_bob', scopes: ['sandbox'], expiresAt: Date.now() / 1000 + 60 },
      eve: { subject: 'user_eve', scopes: ['other'] },
      old: { subject: 'user_old', scopes: ['sandbox'], expiresAt: Date.now() / 1000 - 60 },
    }
    await using server = await listen({
      auth: {
        type: 'oauth',
        resource: 'https://mcp.example.com/mcp',
        authorizationServers: ['https://login.example.com'],
        requiredScopes: ['sandbox'],
        async verify(value) {
          if (value === 'broken') throw new Error('the key server at /etc/keys is down')
          return users[value] as { subject: string } | undefined
        },
      },
    })
    const metadataUrl = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'
    const missing = await post(server.url, initialize)
    expect(missing.headers.get('www-authenticate')).toBe(`Bearer scope="sandbox", resource_metadata="${metadataUrl}"`)
    await expectRefusal(missing, 401, -32_000, /is missing/)
    for (const path of ['/.well-known/oauth-protected-resource/mcp', '/.well-known/oauth-protected-resource']) {
      expect(await (await fetch(new URL(path, server.url))).json()).toMatchObject({
        resource: 'https://mcp.example.com/mcp',
        authorization_servers: ['https://login.example.com'],
        scopes_supported: ['sandbox'],
      })
    }
    for (const wrong of ['nobody', 'old']) {
      await expectRefusal(await post(server.url, initialize, { headers: token(wrong) }), 401, -32_000, /not valid/)
    }
    const scope = await post(server.url, initialize, { headers: token('eve') })
    expect(scope.headers.get('www-authenticate')).toMatch(/^Bearer error="insufficient_scope".*scope="sandbox"/)
    await expectRefusal(scope, 403, -32_000, /lacks a scope/)
    const broken = await post(server.url, initialize, { headers: token('broken') })
    await expectRefusal(broken, 500, -32_000, /^Internal error\.$/)

    for (const name of ['ada', 'bob']) {
      await using mcp = await connectHttp(server.url, name)
      const agent = await theazo.agents.get(agentIdOf(await mcp.call('run_code', bash('true'))))
      const session = await theazo.sessions.get(agent.data.sessionId)
      expect(session.data.userId).toBe(`user_${name}`)
      const foreign = await post(server.url, call('list_files', {}), {
        sessionId: mcp.transport.sessionId ?? '',
        headers: token(name === 'ada' ? 'bob' : 'ada'),
      })
      await expectRefusal(foreign, 404, -32_001, /^Session not found/)
    }
  })
})

describe('settings', () => {
  test('an idle timeout that is not longer than answerSeconds is refused', async () => {
    await expect(listen({ idleTimeoutSeconds: 45 })).rejects.toThrow('above answerSeconds (45)')
    await expect(listen({ idleTimeoutSeconds: 604_801 })).rejects.toThrow('at most 604800')
  })

  test.each<[Partial<TheazoMcpAppOptions>, string]>([
    [{ only: ['nope' as 'run_code'] }, "there is no 'nope'"],
    [{ approve: ['nope' as 'run_code'] }, "there is no 'nope'"],
    [{ groups: ['code'], readOnly: true }, 'leave no tool to offer'],
    [{ answerSeconds: 0 }, 'answerSeconds must be a whole number from 1 to 3600, not 0.'],
    [{ maxSessions: Number.NaN }, 'maxSessions must be a whole number of at least 1, not NaN.'],
    [{ maxSessionsPerUser: 0 }, 'maxSessionsPerUser must be a whole number of at least 1, not 0.'],
    [{ protocol: '2024-11-05' as 'auto' }, 'protocol must be auto, 2025-11-25, 2026-07-28.'],
    [{ userId: '' }, 'userId must not be empty.'],
    [
      { auth: { type: 'oauth', resource: 'mcp', authorizationServers: [], verify: async () => undefined } },
      "auth.resource must be the public URL of this server, not 'mcp'.",
    ],
  ])('%j is refused when the app is created', (options, message) => {
    expect(() => createTheazoMcpApp({ auth: { type: 'none' }, client: theazo, ...options })).toThrow(message)
  })

  test('/healthz answers without a token', async () => {
    await using server = await listen({ auth: { type: 'token', token: 'the-right-token-123' } })
    expect(await (await fetch(new URL('/healthz', server.url))).json()).toEqual({ ok: true })
  })
})
