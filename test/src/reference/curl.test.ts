// The reference's curl examples, run unchanged by a shell: only the base URL, the key and ids are filled in.
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { modelIds, startModels } from '../engine/scripted-models.ts'
import { type CurlExample, curlExamples } from './curl.ts'
import { type CheckedCaller, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let live: CheckedCaller
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, live, mocked } = await listenWithCallers('team'))
})
afterAll(() => server[Symbol.asyncDispose]())

/** The example as a shell script, with the values that a reader fills in. */
function scriptOf(name: CurlExample, caller: CheckedCaller, id = ''): string {
  const script = curlExamples[name]
    .replaceAll('https://api.theazo.com/v1', caller.url)
    .replaceAll('th_live_...', caller.key)
    .replaceAll(/(ses|agt)_01HX\.\.\.(?=\/)/g, id)
  expect(script).toContain(caller.url)
  expect(script).toContain(caller.key)
  return script
}

/** Runs the example and parses the JSON that it prints. */
async function curl(name: CurlExample, caller: CheckedCaller, id?: string) {
  // Asynchronous, because the server is in this process.
  const { stdout } = await promisify(execFile)('bash', ['-c', scriptOf(name, caller, id)])
  return JSON.parse(stdout)
}

describe.each([
  ['a test key', () => mocked],
  ['a live key', () => live],
])('with %s', (_name, callerOf) => {
  test('create a session, which is then in the list', async () => {
    const session = await curl('create a session', callerOf())
    const limits = { maxCost: { amount: 500, currency: 'usd', period: 'day' }, maxAgents: 3 }
    expect(session).toMatchObject({ userId: 'user_123', status: 'active', limits, metadata: { plan: 'pro' } })
    const { data, hasMore } = await curl('list sessions', callerOf())
    expect([data[0], hasMore]).toEqual([session, false])
  })

  test('get or create a session by user, any number of times', async () => {
    const first = await curl('get or create a session by user', callerOf())
    expect(first.userId).toBe('user_123')
    expect(await curl('get or create a session by user', callerOf())).toEqual(first)
  })

  test('exec', async () => {
    const result = await curl('exec', callerOf(), await callerOf().agent())
    expect(result).toEqual({ stdout: '4\n', stderr: '', exitCode: 0, durationMs: expect.any(Number) })
  })

  test('pause, resume, terminate', async () => {
    const agentId = await callerOf().agent()
    expect(await curl('pause', callerOf(), agentId)).toMatchObject({ id: agentId, status: 'paused' })
    expect(await curl('resume', callerOf(), agentId)).toMatchObject({ id: agentId, status: 'idle' })
    expect(await curl('terminate', callerOf(), agentId)).toEqual({ ok: true })
  })

  test('stream', async () => {
    const agentId = await callerOf().agent()
    await using stream = startStream(scriptOf('stream', callerOf(), agentId))
    await stream.until('retry: 1000\n\n')
    await callerOf().post(`/agents/${agentId}/terminate`)
    await stream.ended // curl ends when the server ends the stream
    expect(stream.text()).toMatch(/^id: \d+\nevent: status\ndata: \{"status":"terminated"\}\n\n/m)
  })

  test('usage summary', async () => {
    const summary = await curl('usage summary', callerOf())
    expect(summary.period.from).toBe('2025-05-01T00:00:00.000Z')
    expect(Object.keys(summary)).toEqual(['period', 'compute', 'models', 'storage', 'total'])
  })
})

describe('with a browser, web search and a model', () => {
  test('create an agent, run and stream work with a test key', async () => {
    const agent = await curl('create an agent', mocked, await mocked.session())
    expect(agent).toMatchObject({
      status: 'idle',
      browser: true,
      tools: ['web_search', 'write_file'],
      instructions: 'You are a research assistant. Be concise.',
      timeout: 120,
    })
    await using stream = startStream(scriptOf('stream', mocked, agent.id))
    await stream.until('retry: 1000\n\n')
    const accepted = await curl('run', mocked, agent.id)
    expect(accepted).toEqual({ taskId: expect.stringMatching(/^task_/), agentId: agent.id })
    await stream.until('"status":"idle"')
    const text = stream.text()
    expect(text).toMatch(/^event: thinking\ndata: \{"text":/m)
    expect(text).toMatch(/^event: tool_call\ndata: \{.*"tool":"web_search","input":\{"query":"Summarize/m)
    expect(text).toMatch(/^event: output\ndata: \{"text":".*","cost":\{"amount":\d+,"currency":"usd"\}/m)
  })

  test('create an agent and run are refused with a live key, with a list of the supported values', async () => {
    const refused = await curl('create an agent', live, await live.session())
    expect(refused.error.code).toBe('unprocessable_entity')
    expect(refused.error.details.fields).toEqual({
      browser: ['is not configured on this server; omit it or send false'],
      tools: [
        "'web_search' is not configured on this server; it has 'run_code', 'read_file', 'write_file', 'edit_file', " +
          "'list_files', 'delete_file', 'http_request'; web_search needs BRAVE_SEARCH_API_KEY, TAVILY_API_KEY or " +
          'SEARXNG_URL on the server',
      ],
    })
    const { error } = await curl('run', live, await live.agent())
    expect([error.code, Object.keys(error.details.fields)]).toEqual(['unprocessable_entity', ['model']])
  })
})

describe('with a live key on a server that has a model and a search service', () => {
  test('run and stream work, on the wire protocol of Anthropic', async () => {
    await using search = await startSearch()
    await using models = await startModels(({ results }) => {
      const [found] = results
      if (found === undefined)
        return { reasoning: 'I search.', toolCalls: [call('web_search', { query: 'AI papers' })] }
      if (results.length > 1) return { content: 'Three papers are in papers.md.' }
      return { toolCalls: [call('write_file', { path: 'papers.md', content: found })] }
    })
    const options = { models: { ...models.options, default: modelIds[0] }, webSearch: { searxngUrl: search.url } }
    const { server: own, live: caller } = await listenWithCallers('team', options)
    await using _server = own
    const body = { instructions: 'Be concise.', tools: ['web_search', 'write_file'] }
    const agent = (await caller.post(`/sessions/${await caller.session()}/agents`, body)).body
    await using stream = startStream(scriptOf('stream', caller, agent.id))
    await stream.until('retry: 1000\n\n')
    const accepted = await curl('run', caller, agent.id)
    expect(accepted).toEqual({ taskId: expect.stringMatching(/^task_/), agentId: agent.id })
    await stream.until('"status":"idle"')
    const text = stream.text()
    expect(text).toMatch(/^event: thinking\ndata: \{"text":"I search\."/m)
    expect(text).toMatch(/^event: tool_call\ndata: \{.*"tool":"web_search","input":\{"query":"AI papers"\}/m)
    expect(text).toMatch(/^event: tool_result\ndata: \{.*A paper about agents/m)
    expect(text).toMatch(/^event: output\ndata: \{"text":"Three papers are in papers\.md\.","cost":/m)
    const exec = await caller.post(`/agents/${agent.id}/exec`, { lang: 'bash', code: 'cat papers.md' })
    expect(exec.body.stdout).toContain('https://example.org/paper')
  })
})

/** A tool call as the scripted models make it. */
const call = (name: string, input: object) => ({ name, arguments: JSON.stringify(input) })

/** A search service like SearXNG. */
async function startSearch(): Promise<AsyncDisposable & { url: string }> {
  const result = { title: 'A paper about agents', url: 'https://example.org/paper', content: 'Agents use tools.' }
  const service = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ results: [result] }))
  })
  service.listen(0, '127.0.0.1')
  await once(service, 'listening')
  const { port } = service.address() as AddressInfo // it listens
  const close = async (): Promise<void> => {
    service.closeAllConnections()
    await new Promise((resolve) => service.close(resolve))
  }
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close }
}

test('every example of the reference is run here', () => {
  expect(Object.keys(curlExamples)).toHaveLength(11)
})

interface StreamingCurl extends AsyncDisposable {
  text(): string
  /** Resolves when curl has printed this. */
  until(text: string): Promise<void>
  ended: Promise<unknown>
}

function startStream(script: string): StreamingCurl {
  // `exec`, so that the process which is killed at the end is curl itself.
  const child: ChildProcessByStdio<null, Readable, null> = spawn('bash', ['-c', `exec ${script.trim()}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const ended = once(child, 'close')
  return {
    text: () => text,
    async until(wanted) {
      while (!text.includes(wanted)) await once(child.stdout, 'data')
    },
    ended,
    async [Symbol.asyncDispose]() {
      child.kill()
      await ended
    },
  }
}
