// What the SDK of the hosted service (theazo/theazo-node, version 0.1.6) sends, and what it reads of the answers. The
// SDK is not on npm, so this sends its requests as its source makes them.
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, expectError, expectFields, openWires, type Wire } from '../support/wire.ts'

let server: ListeningTheazo
let live: Wire
let mocked: Wire
beforeAll(async () => {
  ;({ server, live, mocked } = await openWires())
})
afterAll(() => server[Symbol.asyncDispose]())

const sdkHeaders = { 'content-type': 'application/json', 'x-sdk-version': '0.1.0' }

const exec = (wire: Wire, agentId: string, body: object): Promise<Answer> =>
  wire.post(`/agents/${agentId}/exec`, body, sdkHeaders)

test('is advertised', async () => {
  expect((await mocked.get('/sessions')).headers.get('theazo-features')).toContain('official-sdk')
})

describe('exec', () => {
  test('takes language for lang', async () => {
    const agentId = await live.agent()
    for (const [language, code] of [
      ['python', 'print(2 + 2)'],
      ['typescript', 'const sum: number = 2 + 2; console.log(sum)'],
      ['bash', 'echo $((2 + 2))'],
    ]) {
      const { status, body } = await exec(live, agentId, { language, code })
      expect([language, status, body.stdout, body.exitCode]).toEqual([language, 200, '4\n', 0])
    }
  })

  test('takes both where they are the same, and refuses two languages', async () => {
    const agentId = await mocked.agent()
    expect((await exec(mocked, agentId, { lang: 'bash', language: 'bash', code: '' })).status).toBe(200)
    expectFields(await exec(mocked, agentId, { lang: 'bash', language: 'python', code: '' }), 'language')
    expectFields(await exec(mocked, agentId, { lang: 'bash', language: null, code: '' }), 'language')
  })

  test.each(['ruby', '', 7, null, {}, 'Python'])('names the field that was sent: language %j', async (language) => {
    const answer = await exec(mocked, 'agt_none', { language, code: '' })
    expectFields(answer, 'language')
    expect(answer.body.error.message).toContain("must be 'python', 'typescript' or 'bash'")
  })

  test('streams with language too', async () => {
    const agentId = await live.agent()
    const response = await fetch(`${live.url}/agents/${agentId}/exec`, {
      method: 'POST',
      headers: { ...sdkHeaders, authorization: `Bearer ${live.key}`, accept: 'text/event-stream' },
      body: JSON.stringify({ language: 'bash', code: 'echo hi' }),
    })
    expect(await response.text()).toContain('event: stdout\ndata: {"text":"hi\\n"}')
  })
})

describe('GET /agents/:id/status', () => {
  const statusOf = async (wire: Wire, agentId: string) => (await wire.get(`/agents/${agentId}/status`)).body

  test('has every field that the SDK has a type for, in its words', async () => {
    const agentId = await live.agent()
    expect(await statusOf(live, agentId)).toEqual({
      status: 'ready',
      duration: expect.stringMatching(/^\d+(\.\d)?s$/),
      cost: { amount: expect.any(Number), currency: 'usd' },
      task: '',
      provider: 'local',
      region: 'local',
    })
    await live.post(`/agents/${agentId}/pause`)
    expect((await statusOf(live, agentId)).status).toBe('paused')
    await live.post(`/agents/${agentId}/terminate`)
    const ended = await statusOf(live, agentId)
    expect(ended.status).toBe('completed')
    expect(await statusOf(live, agentId)).toEqual(ended) // its time stands still
  })

  test('tells of the task at work, and what tasks have cost', async () => {
    const agentId = await mocked.agent({ compute: { provider: 'e2b' } })
    await mocked.run(agentId, 'theazo:hang')
    expect(await statusOf(mocked, agentId)).toMatchObject({ status: 'running', task: 'theazo:hang', provider: 'e2b' })
  })

  test('is 404 for an agent of somebody else, and for none', async () => {
    const agentId = await live.agent()
    expectError(await mocked.get(`/agents/${agentId}/status`), 404, 'not_found')
    expectError(await live.get('/agents/agt_none/status'), 404, 'not_found')
  })
})
