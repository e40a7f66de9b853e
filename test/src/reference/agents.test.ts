// The reference, Agents, except the stream: one test for each sentence that states behaviour.
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'
import { isIdle, type CheckedEvent } from '../support/checked-event-reader.ts'

let server: ListeningTheazo
let live: CheckedCaller
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, live, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

/** The agent's latest task, once it has ended. */
async function endedTask(agentId: string) {
  const ended = new Set(['completed', 'failed', 'cancelled'])
  const task = async () => (await mocked.get(`/agents/${agentId}`)).body.task
  await expect.poll(async () => ended.has((await task())?.status), { timeout: 20_000 }).toBe(true)
  return await task()
}

const ofType = (events: CheckedEvent[], type: string): CheckedEvent[] => events.filter(({ event }) => event === type)

describe('create an agent', () => {
  test('provisions compute immediately: an idle agent accepts tasks', async () => {
    const { status, body } = await live.post(`/sessions/${await live.session()}/agents`)
    expect([status, body.status]).toEqual([201, 'idle'])
    expect((await live.exec(body.id, 'bash', 'pwd')).body.stdout).toBe('/workspace\n')
  })

  test.each(['e2b', 'fly', 'docker'])('compute.provider may be %s', async (provider) => {
    const path = `/sessions/${await mocked.session()}/agents`
    expect((await mocked.post(path, { compute: { provider } })).body.compute).toEqual({ provider })
    expectFields(await mocked.post(path, { compute: { provider: 'mainframe' } }), 'compute.provider')
    expectFields(await mocked.post(path, { compute: {} }), 'compute.provider')
  })

  test('compute defaults to the provider of the platform', async () => {
    for (const caller of [live, mocked]) {
      expect((await caller.get(`/agents/${await caller.agent()}`)).body.compute).toEqual({ provider: 'local' })
    }
  })

  test('model.id is returned, and is null without a model', async () => {
    const model = { id: 'claude-3-5-sonnet-20241022' }
    const [withOne, without] = [await mocked.agent({ model }), await mocked.agent()]
    expect((await mocked.get(`/agents/${withOne}`)).body.model).toEqual(model)
    expect((await mocked.get(`/agents/${without}`)).body.model).toBe(null)
  })

  test('browser is false by default', async () => {
    const [withOne, without] = [await mocked.agent({ browser: true }), await mocked.agent()]
    expect((await mocked.get(`/agents/${withOne}`)).body.browser).toBe(true)
    expect((await mocked.get(`/agents/${without}`)).body.browser).toBe(false)
  })

  test('instructions are stored with the agent', async () => {
    const instructions = 'You are a research assistant. Be concise.'
    const agentId = await mocked.agent({ instructions })
    expect((await mocked.get(`/agents/${agentId}`)).body.instructions).toBe(instructions)
  })

  test('tools are enabled by name, and the agent calls only those', async () => {
    const agentId = await mocked.agent({ tools: ['web_search', 'http_request', 'write_file'] })
    await using stream = await mocked.stream(agentId)
    await mocked.run(agentId, 'search')
    const events = await stream.until(isIdle)
    expect(ofType(events, 'tool_call').map(({ data }) => data.tool)).toEqual(['web_search'])
    const path = `/sessions/${await mocked.session()}/agents`
    expectFields(await mocked.post(path, { tools: ['web_search', 'fly_to_the_moon'] }), 'tools')
  })

  test('timeout ends a longer run, and is 300 seconds by default', async () => {
    const agentId = await mocked.agent({ timeout: 1 })
    await mocked.run(agentId, 'theazo:hang')
    expect(await endedTask(agentId)).toMatchObject({ status: 'failed', error: { code: 'timeout' } })
    expect((await mocked.get(`/agents/${agentId}`)).body.status).toBe('idle')
    const { body } = await mocked.get(`/agents/${await mocked.agent()}`)
    expect(body.timeout).toBe(300)
  })

  test('an agent exists until it is terminated, or its session ends', async () => {
    const sessionId = await mocked.session()
    const [a, b] = [await mocked.agent({}, sessionId), await mocked.agent({}, sessionId)]
    await mocked.post(`/agents/${a}/terminate`)
    const statuses = async () => [
      (await mocked.get(`/agents/${a}`)).body.status,
      (await mocked.get(`/agents/${b}`)).body.status,
    ]
    expect(await statuses()).toEqual(['terminated', 'idle'])
    await mocked.post(`/sessions/${sessionId}/terminate`)
    expect(await statuses()).toEqual(['terminated', 'terminated'])
  })
})

describe('run', () => {
  test('answers 202 with the ids immediately, while the task continues in the background', async () => {
    const agentId = await mocked.agent()
    const { status, body } = await mocked.post(`/agents/${agentId}/run`, { task: 'theazo:hang' })
    expect([status, body]).toEqual([202, { taskId: expect.stringMatching(/^task_/), agentId }])
    const agent = (await mocked.get(`/agents/${agentId}`)).body
    expect(agent).toMatchObject({ status: 'running', task: { id: body.taskId, agentId, status: 'running' } })
    expect((await mocked.post(`/agents/${agentId}/tasks/${body.taskId}/cancel`)).body).toEqual({ ok: true })
  })

  test('alternates between model and tool, and the agent can be polled for the end', async () => {
    const agentId = await mocked.agent()
    const prompt = 'Add. theazo:steps=2 theazo:output="It is 3." theazo:cost=12'
    const taskId = await mocked.run(agentId, prompt)
    const task = await endedTask(agentId)
    expect(task).toEqual({
      id: taskId,
      agentId,
      status: 'completed',
      prompt,
      output: 'It is 3.',
      cost: { amount: 14, currency: 'usd' }, // a cent for each of the two turns with a tool call
      usage: { inputTokens: 300, outputTokens: 60 },
      createdAt: expect.any(String),
      startedAt: expect.any(String),
      finishedAt: expect.any(String),
    })
    expect((await mocked.get(`/agents/${agentId}/tasks/${taskId}`)).body).toEqual(task)
  })

  test('requires a task', async () => {
    const agentId = await mocked.agent()
    for (const body of [{}, { task: '' }, { task: 1 }]) {
      expectFields(await mocked.post(`/agents/${agentId}/run`, body), 'task')
    }
  })

  test('that fails returns the error', async () => {
    const agentId = await mocked.agent()
    await mocked.run(agentId, 'theazo:error=provider_error')
    expect(await endedTask(agentId)).toMatchObject({ status: 'failed', error: { code: 'provider_error' } })
  })

  test('with a live key needs a model, which this server does not have: 422 with that message', async () => {
    const answer = await live.post(`/agents/${await live.agent()}/run`, { task: 'x' })
    expectFields(answer, 'model')
    expect(answer.body.error.message).toContain('is not configured on this server')
  })
})

describe('exec', () => {
  test.each([
    ['python', 'print(2 + 2)'],
    ['typescript', 'const x: number = 2 + 2; console.log(x)'],
    ['bash', 'echo $((2 + 2))'],
  ])('runs %s in the sandbox, and answers when it has finished', async (lang, code) => {
    const { status, body } = await live.exec(await live.agent(), lang, code)
    expect([status, body]).toEqual([200, { stdout: '4\n', stderr: '', exitCode: 0, durationMs: expect.any(Number) }])
  })

  test('requires a supported language and code', async () => {
    const agentId = await live.agent()
    expectFields(await live.exec(agentId, 'ruby', '1'), 'lang')
    expectFields(await live.post(`/agents/${agentId}/exec`, { lang: 'bash' }), 'code')
    expectFields(await live.post(`/agents/${agentId}/exec`, {}), 'lang', 'code')
  })
})

describe('pause and resume', () => {
  test('the agent completes its tool call, suspends, and continues where it left off', async () => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId)
    const taskId = await mocked.run(agentId, 'theazo:steps=3 theazo:delay=100')
    const before = await stream.until(({ event }) => event === 'tool_call')
    const paused = await mocked.post(`/agents/${agentId}/pause`)
    expect([paused.status, paused.body]).toMatchObject([200, { status: 'paused', task: { status: 'paused' } }])
    before.push(...(await stream.until(({ data }) => data.status === 'paused')))
    expect(ofType(before, 'tool_result').map(({ data }) => data.id)).toContain(before[2]?.data.id) // the call that was running
    expect(ofType(before, 'output')).toEqual([])

    const resumed = await mocked.post(`/agents/${agentId}/resume`)
    expect([resumed.status, resumed.body]).toMatchObject([200, { status: 'running', task: { id: taskId } }])
    const all = [...before, ...(await stream.until(isIdle))]
    const calls = ofType(all, 'tool_call').map(({ data }) => data.id)
    expect([calls.length, new Set(calls).size]).toEqual([3, 3]) // each call once, none is repeated after the pause
    expect(ofType(all, 'tool_result').map(({ data }) => data.id)).toEqual(calls)
    expect(ofType(all, 'output')).toHaveLength(1)
    expect((await mocked.get(`/agents/${agentId}`)).body.task).toMatchObject({ id: taskId, status: 'completed' })
  })

  test("the agent's files are still there after a resume", async () => {
    const agentId = await live.agent()
    await live.exec(agentId, 'bash', 'echo kept > file')
    expect((await live.post(`/agents/${agentId}/pause`)).body.status).toBe('paused')
    expect((await live.post(`/agents/${agentId}/resume`)).body.status).toBe('idle')
    expect((await live.exec(agentId, 'bash', 'cat file')).body.stdout).toBe('kept\n')
  })

  test('pause waits for a running exec, and refuses new execs', async () => {
    const agentId = await live.agent()
    const order: string[] = []
    const running = live.exec(agentId, 'bash', 'touch started; sleep 2; echo done').finally(() => order.push('exec'))
    await live.exec(agentId, 'bash', 'until [[ -e started ]]; do sleep 0.02; done')
    const pausing = live.post(`/agents/${agentId}/pause`).finally(() => order.push('pause'))
    const another = async () => (await live.exec(agentId, 'bash', 'true')).status
    await expect.poll(another, { interval: 20, timeout: 20_000 }).toBe(409)
    expect((await pausing).body.status).toBe('paused')
    expect((await running).body).toMatchObject({ stdout: 'done\n', exitCode: 0 })
    expect(order).toEqual(['exec', 'pause'])
  })

  test('pausing a paused agent and resuming an agent that is not paused are conflicts', async () => {
    const agentId = await mocked.agent()
    expectError(await mocked.post(`/agents/${agentId}/resume`), 409, 'conflict')
    await mocked.post(`/agents/${agentId}/pause`)
    expectError(await mocked.post(`/agents/${agentId}/pause`), 409, 'conflict')
    await mocked.post(`/agents/${agentId}/resume`)
    expectError(await mocked.post(`/agents/${agentId}/resume`), 409, 'conflict')
  })
})

describe('terminate', () => {
  test('is permanent: the files are removed, and the agent can only be read', async () => {
    for (const caller of [live, mocked]) {
      const agentId = await caller.agent()
      for (const _ of [1, 2]) {
        const { status, body } = await caller.post(`/agents/${agentId}/terminate`)
        expect([status, body]).toEqual([200, { ok: true }])
      }
      expect((await caller.get(`/agents/${agentId}`)).body.status).toBe('terminated')
      expectError(await caller.exec(agentId, 'bash', 'true'), 409, 'conflict')
      for (const verb of ['pause', 'resume'])
        expectError(await caller.post(`/agents/${agentId}/${verb}`), 409, 'conflict')
    }
    const agentId = await mocked.agent()
    await mocked.post(`/agents/${agentId}/terminate`)
    expectError(await mocked.post(`/agents/${agentId}/run`, { task: 'x' }), 409, 'conflict')
  })

  test('ends a running exec and a running task', async () => {
    const agentId = await live.agent()
    const running = live.exec(agentId, 'bash', 'touch started; sleep 300')
    await live.exec(agentId, 'bash', 'until [[ -e started ]]; do sleep 0.02; done')
    await live.post(`/agents/${agentId}/terminate`)
    expectError(await running, 409, 'conflict')

    const other = await mocked.agent()
    await mocked.run(other, 'theazo:hang')
    await mocked.post(`/agents/${other}/terminate`)
    expect(await endedTask(other)).toMatchObject({ status: 'cancelled', error: { code: 'terminated' } })
  })
})
