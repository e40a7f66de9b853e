// Tasks of live keys. Each test answers the requests to the model itself, so it decides when a step ends and what it costs.
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { AgentStream } from '../../../../test/src/support/agent-stream.ts'
import { ApiCaller } from '../../../../test/src/support/api-caller.ts'
import { ServerTestClock } from '../../../../test/src/support/clock.ts'
import type { Model, ModelRequest, ModelStep } from '../engine/model.ts'
import { microCents } from '../pricing.ts'
import { createServer, type Server } from '../server.ts'

const minuteMs = 60_000

/** A request to the model, and the function that answers it. */
interface PendingRequest {
  request: ModelRequest
  answer: (step: Partial<ModelStep>) => void
}

/** The model of every agent here. A test waits for the requests of its task and answers them. */
class AnsweredModel implements Model {
  readonly id = 'answered'
  /** By prompt: functions that answer immediately, without a test. */
  readonly answers = new Map<string, (request: ModelRequest) => Partial<ModelStep>>()
  readonly #requests: PendingRequest[] = []
  #wake: () => void = () => {}

  async step(request: ModelRequest, _onDelta: unknown, signal: AbortSignal): Promise<ModelStep> {
    const answerOf = this.answers.get(request.prompt)
    if (answerOf) return stepOf(answerOf(request))
    const { promise, resolve, reject } = Promise.withResolvers<ModelStep>()
    // A step that a cancel does not end at once, e.g. one whose code takes time to die.
    if (!request.prompt.startsWith('dying')) signal.addEventListener('abort', () => reject(signal.reason as Error))
    this.#requests.push({ request, answer: (step) => resolve(stepOf(step)) })
    this.#wake()
    return await promise
  }

  /** Waits for the next request of a task. */
  async nextRequest(prompt: string): Promise<PendingRequest> {
    for (;;) {
      const index = this.#requests.findIndex(({ request }) => request.prompt === prompt)
      const [found] = index === -1 ? [] : this.#requests.splice(index, 1)
      if (found) return found
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** The number of requests of a task without an answer. */
  waiting(prompt: string): number {
    return this.#requests.filter(({ request }) => request.prompt === prompt).length
  }
}

function stepOf(step: Partial<ModelStep>): ModelStep {
  return { kind: 'model', toolCalls: [], inputTokens: 0, outputTokens: 0, cost: 0, ...step }
}

const call = (id: string, code: string) => ({ id, tool: 'run_code', input: { language: 'bash', code } })

const model = new AnsweredModel()
const clock = new ServerTestClock()
let server: Server
let api: ApiCaller
beforeAll(async () => {
  server = await createServer({ clock }, { modelFor: () => model })
  const fetch: typeof globalThis.fetch = (input, init) => server.fetch(new Request(input, init))
  api = new ApiCaller({ baseUrl: 'http://theazo.local/v1', apiKey: server.apiKey, fetch })
})
afterAll(() => server[Symbol.asyncDispose]())

/** Creates a session with these limits and an agent in it, and opens the agent's event stream. */
async function newAgent(limits: object, options: object = {}) {
  const { body: session } = await api.post('/sessions', { userId: 'capped', limits })
  const { body: agent } = await api.post(`/sessions/${session.id}/agents`, options)
  const stream = await AgentStream.open(api, agent.id)
  onTestFinished(async () => {
    await api.post(`/agents/${agent.id}/terminate`)
    await stream.close()
  })
  const path = `/agents/${agent.id}`
  return {
    stream,
    sessionPath: `/sessions/${session.id}`,
    path,
    run: async (task: string): Promise<string> => (await api.post(`${path}/run`, { task })).body.taskId,
    exec: async (code: string): Promise<string> => (await api.post(`${path}/exec`, { lang: 'bash', code })).body.stdout,
    agent: async () => (await api.get(path)).body,
  }
}

const maxCost = (amount: number) => ({ maxCost: { amount, currency: 'usd', period: 'session' } })
const events = ({ events: all }: AgentStream, name: string) => all.filter(({ event }) => event === name)
/** Lets work that needs no further event come to its end. */
const settled = async () => {
  for (let count = 0; count < 200; count += 1) await turn()
}
const eventually = <T>(ask: () => T) => expect.poll(ask, { interval: 1, timeout: 30_000 })

test('a task that spends the last cent stops after its step, and completes after the cap is raised', async () => {
  const { stream, sessionPath, path, run, exec, agent } = await newAgent(maxCost(100))
  const from = new Date(clock.now()).toISOString()
  const taskId = await run('costly')
  const first = await model.nextRequest('costly')
  first.answer({ toolCalls: [call('a', 'echo a >> ran')], inputTokens: 1000, outputTokens: 10, cost: microCents(60) })
  const second = await model.nextRequest('costly')
  expect(second.request.steps.map(({ kind }) => kind)).toEqual(['model', 'tool'])
  const calls = [call('b', 'echo b >> ran'), call('c', 'echo c >> ran')]
  second.answer({ toolCalls: calls, inputTokens: 2000, outputTokens: 20, cost: microCents(39.5) })
  const third = await model.nextRequest('costly')
  third.answer({ toolCalls: [call('d', 'echo d >> ran')], inputTokens: 1, outputTokens: 1, cost: microCents(0.5) })

  expect((await stream.statusEvent('paused')).data).toEqual({ status: 'paused', reason: 'limit', taskId })
  expect(events(stream, 'error').map(({ data }) => data)).toEqual([
    { code: 'session_limit_exceeded', message: expect.stringContaining('100 cents'), resumable: true, taskId },
  ])
  expect(await agent()).toMatchObject({ status: 'paused', task: { id: taskId, status: 'paused' } })
  expect((await api.get(sessionPath)).body.status).toBe('paused')
  expect(model.waiting('costly')).toBe(0)
  expect((await api.post(`${path}/resume`)).body.error.code).toBe('session_limit_exceeded')
  expect((await api.post(`${path}/run`, { task: 'another' })).body.error.code).toBe('session_limit_exceeded')

  await api.patch(sessionPath, { limits: maxCost(200) })
  expect(await agent()).toMatchObject({ status: 'paused' })
  expect((await api.post(`${path}/resume`)).body).toMatchObject({ status: 'running', task: { id: taskId } })
  const last = await model.nextRequest('costly')
  expect(last.request.steps.flatMap((step) => (step.kind === 'tool' ? step.id : []))).toEqual(['a', 'b', 'c', 'd'])
  last.answer({ text: 'done' })
  await stream.first(({ event }) => event === 'output')
  expect(await exec('cat ran')).toBe('a\nb\nc\nd\n')
  expect(await agent()).toMatchObject({ status: 'idle', task: { id: taskId, status: 'completed', output: 'done' } })
  for (const name of ['tool_call', 'tool_result']) {
    expect(events(stream, name).map(({ data }) => data.id)).toEqual(['a', 'b', 'c', 'd'])
  }
  clock.jump(1) // a summary until now does not include usage of this millisecond
  const { body: usage } = await api.get(`/usage/summary?from=${from}&sessionId=${sessionPath.split('/')[2]}`)
  expect(usage.models).toEqual({ inputTokens: 3001, outputTokens: 31, cost: { amount: 100, currency: 'usd' } })
})

test('a task whose steps take no time makes no step after the one that reaches the cap', async () => {
  const { stream, path, run } = await newAgent(maxCost(100))
  let requests = 0
  model.answers.set('quick', () => {
    requests += 1
    return { toolCalls: [{ id: `call ${requests}`, tool: 'none', input: {} }], cost: microCents(50) }
  })
  const taskId = await run('quick')
  await stream.statusEvent('paused')
  expect(requests).toBe(2)
  expect((await api.get(`${path}/tasks/${taskId}`)).body).toMatchObject({ status: 'paused', cost: { amount: 100 } })
})

test('an answer that reaches the cap completes its task, so there is nothing to resume', async () => {
  const { stream, run, agent } = await newAgent(maxCost(100))
  const taskId = await run('last words')
  const only = await model.nextRequest('last words')
  only.answer({ text: 'done', cost: microCents(100) })
  await stream.first(({ event }) => event === 'output')
  await stream.statusEvent('paused')
  expect(events(stream, 'error')).toEqual([])
  expect(await agent()).toMatchObject({ status: 'paused', task: { id: taskId, status: 'completed' } })
})

test('a task that is running when the compute minutes are used up finishes its step and begins no other', async () => {
  const { stream, sessionPath, path, run, exec, agent } = await newAgent({ maxComputeMinutes: 3 })
  const taskId = await run('slow')
  const first = await model.nextRequest('slow')
  clock.jump(3 * minuteMs)
  await eventually(async () => (await api.get(sessionPath)).body.status).toBe('paused')
  expect(await agent()).toMatchObject({ status: 'running', task: { status: 'running' } })
  first.answer({ toolCalls: [call('a', 'echo a >> ran')] })
  expect((await stream.statusEvent('paused')).data).toMatchObject({ reason: 'limit', taskId })
  expect(events(stream, 'tool_call')).toHaveLength(1)
  expect(events(stream, 'tool_result')).toEqual([])

  await api.patch(sessionPath, { limits: { maxComputeMinutes: 10 } })
  await api.post(`${path}/resume`)
  const second = await model.nextRequest('slow')
  second.answer({ text: 'done' })
  await stream.first(({ event }) => event === 'output')
  expect(await exec('cat ran')).toBe('a\n')
})

test('a cap that is reached while a pause waits takes effect even if the pause times out', async () => {
  const { stream, sessionPath, path, run, agent } = await newAgent({ maxComputeMinutes: 1 })
  await run('stuck')
  const first = await model.nextRequest('stuck')
  const pausing = api.post(`${path}/pause`)
  await eventually(async () => (await api.post(`${path}/exec`, { lang: 'bash', code: '' })).status).toBe(409)
  clock.jump(minuteMs)
  await eventually(async () => (await api.get(sessionPath)).body.status).toBe('paused')
  clock.jump(minuteMs)
  expect(await pausing).toMatchObject({ status: 504, body: { error: { code: 'timeout' } } })
  first.answer({ toolCalls: [call('a', 'true')] })
  expect((await stream.statusEvent('paused')).data).toMatchObject({ reason: 'limit' })
  expect(model.waiting('stuck')).toBe(0)
  expect(await agent()).toMatchObject({ status: 'paused', task: { status: 'paused' } })
})

/** An agent whose cap was reached and then raised. Its task is cancelled, but the step of the task goes on. */
async function cancelledAtCap(task: string) {
  const made = await newAgent({ maxComputeMinutes: 1 })
  const taskId = await made.run(task)
  const cancelled = await model.nextRequest(task)
  clock.jump(minuteMs)
  await eventually(async () => (await api.get(made.sessionPath)).body.status).toBe('paused')
  await api.patch(made.sessionPath, { limits: { maxComputeMinutes: 10 } })
  await api.post(`${made.path}/tasks/${taskId}/cancel`)
  return { ...made, cancelled }
}

test('the pause of a cap that was raised in time does not take the task that runs by then', async () => {
  const { stream, run, agent, cancelled } = await cancelledAtCap('dying: raised')
  const nextId = await run('after a raise')
  const first = await model.nextRequest('after a raise')
  cancelled.answer({ text: 'too late' }) // now the pause goes on
  await settled()
  expect(await agent()).toMatchObject({ status: 'running', task: { id: nextId, status: 'running' } })
  first.answer({ toolCalls: [call('a', 'true')] })
  const second = await model.nextRequest('after a raise')
  second.answer({ text: 'done' })
  await stream.statusEvent('idle')
  await eventually(agent).toMatchObject({ status: 'idle', task: { id: nextId, output: 'done' } })
  expect(events(stream, 'status').map(({ data }) => data.status)).not.toContain('paused')
})

test('the pause of a cap waits for the step of the task that runs by then, and loses nothing of it', async () => {
  const { stream, sessionPath, run, agent, cancelled } = await cancelledAtCap('dying: lowered')
  const nextId = await run('still in its step')
  const step = await model.nextRequest('still in its step')
  await api.patch(sessionPath, { limits: { maxComputeMinutes: 1 } })
  cancelled.answer({ text: 'too late' })
  await settled()
  expect(await agent()).toMatchObject({ status: 'running', task: { id: nextId, status: 'running' } })
  step.answer({ toolCalls: [call('a', 'true')], inputTokens: 7 })
  expect((await stream.statusEvent('paused')).data).toEqual({ status: 'paused', reason: 'limit', taskId: nextId })
  expect(await agent()).toMatchObject({ status: 'paused', task: { status: 'paused', usage: { inputTokens: 7 } } })
  expect(model.waiting('still in its step')).toBe(0)
})

test('a task whose step ends after its cap was raised continues', async () => {
  const { stream, sessionPath, run, agent } = await newAgent({ maxComputeMinutes: 1 })
  await run('raised in time')
  const first = await model.nextRequest('raised in time')
  clock.jump(minuteMs)
  await eventually(async () => (await api.get(sessionPath)).body.status).toBe('paused')
  await api.patch(sessionPath, { limits: { maxComputeMinutes: 10 } })
  first.answer({ toolCalls: [call('a', 'true')] })
  const second = await model.nextRequest('raised in time')
  second.answer({ text: 'done' })
  await stream.statusEvent('idle')
  expect(await agent()).toMatchObject({ status: 'idle', task: { status: 'completed' } })
  expect(events(stream, 'status').map(({ data }) => data.status)).toEqual(['running', 'idle'])
})

test('a task that is cancelled while the pause for its approval waits is not paused', async () => {
  const { stream, path, run, agent } = await newAgent({}, { approvals: ['list_files'] })
  const execution = new AbortController()
  const body = JSON.stringify({ lang: 'bash', code: 'sleep 100' })
  const executed = api.send('POST', `${path}/exec`, body, { signal: execution.signal }).catch(() => {})
  const taskId = await run('approved')
  const first = await model.nextRequest('approved')
  first.answer({ toolCalls: [{ id: 'a', tool: 'list_files', input: { path: '/workspace' } }] })
  // The pause waits for the exec: new calls are refused.
  await eventually(async () => (await api.post(`${path}/exec`, { lang: 'bash', code: '' })).status).toBe(409)
  await api.post(`${path}/tasks/${taskId}/cancel`)
  execution.abort() // now the pause goes on
  await executed
  await eventually(async () => (await api.post(`${path}/exec`, { lang: 'bash', code: '' })).status).toBe(200)
  expect(await agent()).toMatchObject({ status: 'idle', task: { status: 'cancelled' } })
  expect(events(stream, 'status').map(({ data }) => data.status)).toEqual(['running', 'idle'])
})

test("an agent's timeout counts the time that its task runs, without pauses", async () => {
  const { stream, path, run, exec, agent } = await newAgent({}, { timeout: 100 })
  const taskId = await run('timed')
  const first = await model.nextRequest('timed')
  clock.jump(60_000)
  const pausing = api.post(`${path}/pause`)
  first.answer({ toolCalls: [call('a', 'echo kept > file')] })
  expect((await pausing).body).toMatchObject({ status: 'paused', task: { status: 'paused' } })
  clock.jump(60 * minuteMs)
  expect(await agent()).toMatchObject({ status: 'paused', task: { status: 'paused' } })
  await api.post(`${path}/resume`)
  await model.nextRequest('timed')
  clock.jump(39_999)
  expect(await agent()).toMatchObject({ status: 'running', task: { status: 'running' } })
  clock.jump(1)
  const { data } = await stream.first(({ event }) => event === 'error')
  expect(data).toMatchObject({ code: 'timeout', message: expect.stringContaining('100 s'), taskId })
  await eventually(agent).toMatchObject({ status: 'idle', task: { status: 'failed', error: { code: 'timeout' } } })
  expect(await exec('cat file')).toBe('kept\n')
})

test('a pause that waits longer than 120 s for the model is answered with 504, and the task continues', async () => {
  const { stream, path, run, exec, agent } = await newAgent({})
  const taskId = await run('deaf')
  const first = await model.nextRequest('deaf')
  const pausing = api.post(`${path}/pause`)
  const tryExec = () => api.post(`${path}/exec`, { lang: 'bash', code: '' })
  await eventually(async () => (await tryExec()).status).toBe(409)
  expect((await api.post(`${path}/pause`)).status).toBe(409)
  clock.jump(119_999)
  expect((await tryExec()).status).toBe(409)
  clock.jump(1)
  expect(await pausing).toMatchObject({ status: 504, body: { error: { code: 'timeout' } } })
  expect(await agent()).toMatchObject({ status: 'running', task: { id: taskId, status: 'running' } })
  expect(await exec('echo on')).toBe('on\n')
  first.answer({ toolCalls: [call('a', 'true')] })
  const second = await model.nextRequest('deaf')
  second.answer({ text: 'done' })
  await stream.first(({ event }) => event === 'output')
  await stream.statusEvent('idle')
  expect(events(stream, 'status').map(({ data }) => data.status)).toEqual(['running', 'idle'])
})
