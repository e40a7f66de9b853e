// Protocol 2026-07-28 over HTTP: each request stands alone, and a user has one sandbox.
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectHttpV2, initialize, listenApp, type ListeningApp, post } from '../testing/http-server.ts'
import { agentIdOf, textOf } from '../testing/test-client.ts'
import type { TheazoMcpAppOptions } from './index.ts'

let local: LocalTheazo
let theazo: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(async () => await local[Symbol.asyncDispose]())

/** A server whose tokens are the names of its users. */
const listen = (options: Partial<TheazoMcpAppOptions> = {}): Promise<ListeningApp> =>
  listenApp({
    auth: {
      type: 'oauth',
      resource: 'https://mcp.example.com/mcp',
      authorizationServers: ['https://login.example.com'],
      verify: async (token) => ({ subject: token }),
    },
    client: theazo,
    ...options,
  })
const statusOf = async (agentId: string) => (await theazo.agents.get(agentId)).data.status
const bash = (code: string) => ({ language: 'bash', code })
const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
  'io.modelcontextprotocol/clientCapabilities': {},
}

/** Sends one request as a client of this protocol does. */
async function send(url: string, user: string, method: string, params: object = {}, signal?: AbortSignal) {
  const name = 'name' in params ? { 'mcp-name': String(params.name) } : {}
  const headers = {
    authorization: `Bearer ${user}`,
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': method,
    ...name,
  }
  const message = { jsonrpc: '2.0', id: 1, method, params: { _meta: meta, ...params } }
  return await post(url, message, { headers, ...(signal && { signal }) })
}

describe('sandboxes', () => {
  test('all clients of a user share one sandbox; another user has another', async () => {
    await using server = await listen()
    await using first = await connectHttpV2(server.url, 'ada')
    await using second = await connectHttpV2(server.url, 'ada')
    await using other = await connectHttpV2(server.url, 'bob')
    await first.bash('echo one > file')
    expect([await second.bash('cat file'), await other.bash('ls')]).toEqual(['one', '(no output)'])
    expect(server.app.sessionCount).toBe(2)
  })

  test('first requests that arrive together share one sandbox', async () => {
    await using server = await listen({ maxSessionsPerUser: 1 })
    const call = { name: 'run_code', arguments: bash('true') }
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: 'Bearer ada',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'run_code',
    }
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { _meta: meta, ...call } }
    const init = { method: 'POST', headers, body: JSON.stringify(message) }
    // Over a port they would arrive one after the other.
    const responses = await Promise.all([1, 2, 3].map(() => server.app.fetch(new Request(server.url, init))))
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200])
    const answers = await Promise.all(responses.map(async (response) => (await response.json()).result))
    expect(new Set(answers.map(agentIdOf)).size).toBe(1)
    expect(server.app.sessionCount).toBe(1)
  })

  test('the sandbox ends after a time without requests; then the user gets another', async () => {
    await using server = await listen({ idleTimeoutSeconds: 2, answerSeconds: 1 })
    await using mcp = await connectHttpV2(server.url, 'ada')
    const agentId = agentIdOf(await mcp.call('run_code', bash('true')))
    await expect.poll(() => statusOf(agentId)).toBe('terminated')
    expect(server.app.sessionCount).toBe(0)
    expect(agentIdOf(await mcp.call('run_code', bash('true')))).not.toBe(agentId)
  })

  test('a long call continues after its answer; a client that breaks its response stops its code', async () => {
    await using server = await listen({ answerSeconds: 1 })
    await using mcp = await connectHttpV2(server.url, 'ada')
    const running = await mcp.call('run_code', bash('until [ -e go ]; do sleep 0.05; done; echo went'))
    const callId = String(running.structuredContent?.['callId'])
    await using other = await connectHttpV2(server.url, 'bob')
    expect(textOf(await other.call('wait', { callId }))).toBe(
      `There is no running call '${callId}'. No call waits for an answer.`,
    )
    await mcp.bash('touch go')
    expect(textOf(await mcp.call('wait', { callId }))).toMatch(/went/)

    const agent = await theazo.agents.get(agentIdOf(running))
    const isSleeping = async () => (await agent.exec('bash', 'pgrep -x sleep')).exitCode === 0
    const broken = new AbortController()
    const call = { name: 'run_code', arguments: bash('sleep 59') }
    const response = send(server.url, 'ada', 'tools/call', call, broken.signal).catch(() => 'broken')
    await expect.poll(isSleeping).toBe(true)
    broken.abort()
    expect(await response).toBe('broken')
    await expect.poll(isSleeping).toBe(false)
  })

  test('the end of the server ends every sandbox', async () => {
    const server = await listen()
    const mcp = await connectHttpV2(server.url, 'ada')
    const agentId = agentIdOf(await mcp.call('run_code', bash('true')))
    await server[Symbol.asyncDispose]()
    expect(await statusOf(agentId)).toBe('terminated')
    await mcp.client.close()
  })

  test('a change of status is reported to its user only', async () => {
    await using server = await listen()
    await using ada = await connectHttpV2(server.url, 'ada')
    await using bob = await connectHttpV2(server.url, 'bob')
    const agentId = agentIdOf(await ada.call('run_code', bash('true')))
    const uri = `theazo://agents/${agentId}`
    const updates: string[] = []
    const end = await ada.watch(uri, () => updates.push('ada'))
    const endOther = await bob.watch(uri, () => updates.push('bob'))
    const agent = await theazo.agents.get(agentId)
    await expect
      .poll(async () => {
        await agent.pause()
        await agent.resume()
        return updates
      })
      .toContain('ada')
    expect(updates).not.toContain('bob')
    await end()
    await endOther()
  })
})

describe('approval', () => {
  test('the client repeats its call with the answer of its user', async () => {
    await using server = await listen({ approve: ['run_code'] })
    await using mcp = await connectHttpV2(server.url, 'ada', { canAsk: true })
    const asked: string[] = []
    mcp.onQuestion((message) => {
      asked.push(message)
      return asked.length === 1 ? 'accept' : 'decline'
    })
    expect(await mcp.bash('echo ran')).toBe('ran')
    expect(await mcp.bash('echo ran')).toMatch('the user declined')
    expect(asked).toEqual([expect.stringMatching(/echo ran/), expect.stringMatching(/echo ran/)])
  })
})

describe('bad input is answered with a JSON-RPC error', () => {
  /** Checks a refusal: its status, its code, and a text without a path or a stack. */
  async function expectError(response: Response, status: number, code: number): Promise<void> {
    const text = await response.text()
    expect([response.status, JSON.parse(text)]).toMatchObject([status, { jsonrpc: '2.0', error: { code } }])
    expect(text).not.toMatch(/node_modules|\.[jt]s\b|\bat [\w.]+ \(/)
  }
  const headers = { authorization: 'Bearer ada', 'mcp-protocol-version': '2026-07-28' }

  test('a request without its metadata, with other headers, or of an unknown method', async () => {
    await using server = await listen()
    await expectError(
      await post(server.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, { headers }),
      400,
      -32_602,
    )
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } }
    const other = { ...headers, 'mcp-method': 'tools/call' }
    await expectError(await post(server.url, list, { headers: other }), 400, -32_020)
    await expectError(await send(server.url, 'ada', 'tools/none'), 404, -32_601)
    await expectError(await post(server.url, { ...initialize, id: 1 }, { headers }), 400, -32_020)
  })

  test('an unknown version, with the known one; the operator is not bothered', async () => {
    const reported: unknown[] = []
    await using server = await listen({ onError: (error) => reported.push(error) })
    const params = { _meta: { ...meta, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } }
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/list', params }
    const response = await post(server.url, message, {
      headers: { authorization: 'Bearer ada', 'mcp-protocol-version': '2099-01-01', 'mcp-method': 'tools/list' },
    })
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { code: -32_022, data: { supported: ['2026-07-28'] } } },
    ])
    await expectError(await post(server.url, message, { headers: { ...headers, 'mcp-method': 'ping' } }), 400, -32_020)
    expect(reported).toEqual([])
  })

  test('what is not JSON, a batch, another content type and too large a body', async () => {
    await using server = await listen()
    await expectError(await post(server.url, '{', { headers }), 400, -32_700)
    await expectError(await post(server.url, [], { headers }), 400, -32_600)
    await expectError(
      await post(server.url, {}, { headers: { ...headers, 'content-type': 'text/plain' } }),
      415,
      -32_000,
    )
    await expectError(await post(server.url, 'x'.repeat(4 * 1024 * 1024 + 1), { headers }), 413, -32_000)
  })

  test('GET and DELETE, which this protocol does not have', async () => {
    await using server = await listen()
    for (const method of ['GET', 'DELETE']) {
      const response = await fetch(server.url, { method, headers })
      expect(response.headers.get('allow')).toBe('POST')
      await expectError(response, 405, -32_000)
    }
  })

  test('no token, and too many sessions', async () => {
    await using server = await listen({ maxSessions: 1 })
    await expectError(await post(server.url, {}, { headers: { 'mcp-protocol-version': '2026-07-28' } }), 401, -32_000)
    expect((await send(server.url, 'ada', 'tools/list')).status).toBe(200)
    expect((await send(server.url, 'ada', 'tools/list')).status).toBe(200)
    await expectError(await send(server.url, 'bob', 'tools/list'), 503, -32_000)
  })

  test('an unknown tool, invalid arguments and a file that is not there are answers that say what is valid', async () => {
    await using server = await listen()
    await using mcp = await connectHttpV2(server.url, 'ada')
    expect(textOf(await mcp.call('none'))).toMatch(/^There is no tool 'none'\. Valid: run_code, /)
    expect(textOf(await mcp.call('run_code', { language: 'ruby', code: '' }))).toMatch(/language must be 'python'/)
    await expect(mcp.client.readResource({ uri: 'theazo://money' })).rejects.toThrow(/There are theazo:\/\/agents, /)
  })
})
