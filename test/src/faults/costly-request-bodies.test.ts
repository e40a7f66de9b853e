// Attacks on the server's CPU and memory: small request bodies that are costly to parse, validate or store. They are
// refused early, and other requests are answered meanwhile.
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiCaller } from '../support/api-caller.ts'

let server: ListeningTheazo
let session: string
let agent: string
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  session = String((await call('POST', '/sessions', { userId: 'hostile' })).body['id'])
  agent = String((await call('POST', `/sessions/${session}/agents`, {})).body['id'])
})
afterAll(() => server[Symbol.asyncDispose]())

interface Answer {
  status: number
  sizeBytes: number
  body: Record<string, unknown>
}

async function call(method: string, path: string, body?: unknown): Promise<Answer> {
  const caller = new ApiCaller({ baseUrl: server.url, apiKey: server.apiKey })
  const response = await caller.open(path, {
    method,
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, sizeBytes: text.length, body: JSON.parse(text) as Record<string, unknown> }
}

const fieldsOf = ({ body }: Answer): Record<string, string[]> => {
  const { details } = body['error'] as { details?: { fields?: Record<string, string[]> } }
  return details?.fields ?? {}
}
const zeros = (count: number): string => `[${'0,'.repeat(count - 1)}0]`
const record = (count: number): string => `{${Array.from({ length: count }, (_, index) => `"k${index}":0`).join(',')}}`

describe('a request body', () => {
  const bodies: [string, string, string, RegExp][] = [
    ['a long list of tools', '/sessions/SESSION/agents', `{"tools":${zeros(400_000)}}`, /more than 20000 values/],
    [
      'a list of tools below the limit of values',
      '/sessions/SESSION/agents',
      `{"tools":${zeros(10_000)}}`,
      /has 10000 entries/,
    ],
    ['a long list of hosts', '/sessions/SESSION/agents', `{"network":{"allow":${zeros(9_000)}}}`, /has 9000 entries/],
    ['many variables', '/agents/AGENT/exec', `{"lang":"bash","code":"1","env":${record(9_000)}}`, /has 9000 entries/],
    [
      'a little too many variables',
      '/agents/AGENT/exec',
      `{"lang":"bash","code":"1","env":${record(300)}}`,
      /has 300 entries/,
    ],
    [
      'deep nesting',
      '/sessions',
      `{"userId":"a","metadata":${'['.repeat(200)}${']'.repeat(200)}}`,
      /nested more than 100/,
    ],
    ['very deep nesting', '/sessions', '['.repeat(900_000), /nested more than 100/],
    [
      'metadata of many values',
      '/sessions',
      `{"userId":"a","metadata":{"a":${zeros(40_000)}}}`,
      /more than 20000 values/,
    ],
    ['large metadata', '/sessions', `{"userId":"a","metadata":{"a":"${'x'.repeat(65_536)}"}}`, /at most 64 KiB/],
    ['large instructions', '/sessions/SESSION/agents', `{"instructions":"${'x'.repeat(262_145)}"}`, /at most 256 KiB/],
    ['a large task', '/agents/AGENT/run', `{"task":"${'x'.repeat(262_145)}"}`, /at most 256 KiB/],
    ['more than a MiB', '/sessions', `{"userId":"a","x":"${'x'.repeat(1_048_576)}"}`, /larger than 1 MiB/],
    [
      'a long model name',
      '/sessions/SESSION/agents',
      `{"model":{"id":"${'x'.repeat(300)}"}}`,
      /at most 256 characters/,
    ],
    ['many quotes', '/sessions', `{"userId":"${'\\"'.repeat(200_000)}`, /not valid JSON/],
    ['many backslashes', '/sessions', `{"userId":"${'\\'.repeat(900_001)}`, /not valid JSON/],
  ]

  test.each(bodies)(
    'with %s is refused, and the message names the limit, for existing and unknown ids',
    async (_what, path, body, message) => {
      for (const [sessionId, agentId] of [
        [session, agent],
        [session.replace(/.$/, '0'), agent.replace(/.$/, '0')],
      ]) {
        const answer = await call(
          'POST',
          path.replace('SESSION', sessionId ?? '').replace('AGENT', agentId ?? ''),
          body,
        )
        expect(answer.status).toBe(422)
        expect(Object.values(fieldsOf(answer)).flat().join()).toMatch(message)
        expect(answer.sizeBytes).toBeLessThan(2000)
      }
    },
  )

  test('with many invalid fields is answered with twenty of them, and with shortened names', async () => {
    const env = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`${index}${'='.repeat(1000)}`, 1]))
    const answer = await call('POST', `/agents/${agent}/exec`, { lang: 'bash', code: '1', env })
    expect(answer.status).toBe(422)
    expect(Object.keys(fieldsOf(answer)).length).toBeLessThanOrEqual(20)
    expect(answer.sizeBytes).toBeLessThan(10_000)
  })

  test('of a large but valid size is accepted', async () => {
    const env = Object.fromEntries(Array.from({ length: 256 }, (_, index) => [`K${index}`, 'x'.repeat(100)]))
    const code = `# ${'x'.repeat(5_000_000)}\necho "$K255" | wc -c`
    const answer = await call('POST', `/agents/${agent}/exec`, { lang: 'bash', code, env })
    expect(answer).toMatchObject({ status: 200, body: { stdout: '101\n' } })
    const metadata = { a: Array.from({ length: 15_000 }, () => 1) }
    expect((await call('POST', '/sessions', { userId: 'large', metadata })).status).toBe(201)
  })

  test('that grows metadata in small steps is refused above the limit', async () => {
    const patch = (name: string) => call('PATCH', `/sessions/${session}`, { metadata: { [name]: 'x'.repeat(40_000) } })
    expect((await patch('a')).status).toBe(200)
    expect(await patch('b')).toMatchObject({
      status: 422,
      body: { error: { message: expect.stringContaining('64 KiB') } },
    })
    expect((await call('PATCH', `/sessions/${session}`, { metadata: { a: null } })).status).toBe(200)
    expect((await patch('b')).status).toBe(200)
  })
})

test('other requests are answered while costly bodies arrive', async () => {
  const attack = Promise.all(
    Array.from({ length: 8 }, () =>
      call('POST', `/agents/${agent}/exec`, `{"lang":"bash","code":"1","x":${zeros(5_000_000)}}`),
    ),
  )
  const result = await call('POST', `/agents/${agent}/exec`, {
    lang: 'bash',
    code: 'sleep 1; echo in time',
    timeoutMs: 10_000,
  })
  expect(result.body).toMatchObject({ stdout: 'in time\n', exitCode: 0 })
  expect((await attack).map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 422))
})
