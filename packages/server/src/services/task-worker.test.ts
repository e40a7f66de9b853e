// Tasks on a queue that hands out late and more than once, as a queue of another process may.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiCaller } from '../../../../test/src/support/api-caller.ts'
import type { UnitOfWork } from '../events/event-log.ts'
import type { Model, ModelStep } from '../engine/model.ts'
import { createServer, type Server } from '../server.ts'
import type { JobEnd, TaskHandler, TaskJob, TaskQueue } from './task-queue.ts'

/** Keeps each job until a test hands it out, and stays able to hand it out again. */
class LateQueue implements TaskQueue {
  #handler: TaskHandler | undefined
  /** JSON, as a database would have it. */
  readonly #jobs: string[] = []

  async add(unit: UnitOfWork, job: TaskJob): Promise<void> {
    unit.afterCommit(() => void this.#jobs.push(JSON.stringify(job)))
  }

  async work(handler: TaskHandler): Promise<void> {
    this.#handler = handler
  }

  async close(): Promise<void> {}

  /** Hands out the job that was added as the n-th, and returns its end. */
  async handOut(number: number, isRecovered = false): Promise<JobEnd | undefined> {
    return await this.#handler?.(JSON.parse(this.#jobs[number] ?? '') as TaskJob, isRecovered)
  }
}

/** Prompts of the requests to the model, with functions to answer them. */
const requests: { prompt: string; answer: (step: Partial<ModelStep>) => void }[] = []
const model: Model = {
  id: 'asked',
  async step({ prompt }, _sink, signal) {
    const { promise, resolve, reject } = Promise.withResolvers<ModelStep>()
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    const usual: ModelStep = { kind: 'model', toolCalls: [], inputTokens: 0, outputTokens: 0, cost: 0 }
    requests.push({ prompt, answer: (step) => resolve({ ...usual, ...step }) })
    return await promise
  },
}
const requestsOf = (wanted: string) => requests.filter(({ prompt }) => prompt === wanted)
const toolCall = { id: 'c', tool: 'run_code', input: { language: 'bash', code: 'true' } }

let server: Server
let queue: LateQueue
let api: ApiCaller
beforeAll(async () => ({ server, queue, api } = await openServer()))
afterAll(() => server[Symbol.asyncDispose]())

async function openServer(): Promise<{ server: Server; queue: LateQueue; api: ApiCaller }> {
  const late = new LateQueue()
  const opened = await createServer({}, { modelFor: () => model, createQueue: () => late })
  return { server: opened, queue: late, api: await testCaller(opened) }
}

async function testCaller({ fetch: answer, keys }: Server): Promise<ApiCaller> {
  const fetch: typeof globalThis.fetch = (input, init) => answer(new Request(input, init))
  const { key } = await keys.create({ mode: 'test', plan: 'enterprise' })
  return new ApiCaller({ baseUrl: 'http://theazo.local/v1', apiKey: key, fetch })
}

/** Runs a task on a new agent. */
async function run(caller: ApiCaller, task: string) {
  const { body: session } = await caller.post('/sessions', { userId: 'u' })
  const { id } = (await caller.post(`/sessions/${session.id}/agents`)).body
  const path = `/agents/${id}`
  const { taskId } = (await caller.post(`${path}/run`, { task })).body
  return { path, taskPath: `${path}/tasks/${taskId}`, state: async () => (await caller.get(path)).body }
}

let added = 0
/** The number of the job that comes next. */
const nextJob = (): number => (added += 1) - 1

test('a task that is cancelled before its job is handed out is never worked on', async () => {
  const job = nextJob()
  const { taskPath, state } = await run(api, 'cancelled')
  expect((await api.post(`${taskPath}/cancel`)).status).toBe(200)
  expect(await queue.handOut(job)).toBe('done')
  expect(requestsOf('cancelled')).toEqual([])
  expect(await state()).toMatchObject({ status: 'idle', task: { status: 'cancelled' } })
})

test('a task that is paused before its job is handed out waits for the resume', async () => {
  const first = nextJob()
  const { path, state } = await run(api, 'paused')
  expect((await api.post(`${path}/pause`)).body).toMatchObject({ status: 'paused', task: { status: 'paused' } })
  expect(await queue.handOut(first)).toBe('done')
  expect(requestsOf('paused')).toEqual([])
  const second = nextJob()
  expect((await api.post(`${path}/resume`)).body).toMatchObject({ status: 'running' })
  const ended = queue.handOut(second)
  await expect.poll(() => requestsOf('paused')).toHaveLength(1)
  requestsOf('paused')[0]?.answer({ text: 'done' })
  expect(await ended).toBe('done')
  expect(await state()).toMatchObject({ status: 'idle', task: { status: 'completed', output: 'done' } })
})

test('a job that is handed out again while its task runs, or after its end, makes no second loop', async () => {
  const job = nextJob()
  const { state } = await run(api, 'twice')
  const ended = queue.handOut(job)
  await expect.poll(() => requestsOf('twice')).toHaveLength(1)
  let isOver = false
  const again = queue.handOut(job, true).finally(() => (isOver = true))
  for (let count = 0; count < 20; count += 1) await turn()
  expect(requestsOf('twice')).toHaveLength(1)
  expect(isOver).toBe(false) // else a queue would forget the job of a task that runs
  requestsOf('twice')[0]?.answer({ text: 'done' })
  expect(await Promise.all([ended, again])).toEqual(['done', 'done'])
  expect(await queue.handOut(job, true)).toBe('done')
  for (let count = 0; count < 20; count += 1) await turn()
  expect(requestsOf('twice')).toHaveLength(1)
  expect(await state()).toMatchObject({ status: 'idle', task: { status: 'completed', output: 'done' } })
})

test('a job that is handed out again before the pause of its suspended task is stored ends with that pause', async () => {
  const job = nextJob()
  const { path, state } = await run(api, 'suspended')
  const ended = queue.handOut(job)
  await expect.poll(() => requestsOf('suspended')).toHaveLength(1)
  const exec = api.post(`${path}/exec`, { lang: 'bash', code: 'theazo:delay=300' }) // the pause waits for it
  const paused = api.post(`${path}/pause`)
  requestsOf('suspended')[0]?.answer({ toolCalls: [toolCall] })
  for (let count = 0; count < 20; count += 1) await turn()
  const again = queue.handOut(job, true)
  expect(await paused).toMatchObject({ status: 200 })
  await exec
  expect(await Promise.all([ended, again])).toEqual(['done', 'done'])
  expect(requestsOf('suspended')).toHaveLength(1)
  expect(await state()).toMatchObject({ status: 'paused', task: { status: 'paused' } })
})

test('a pause that waits while the server closes is refused, and the next server continues the task', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'theazo-worker-'))
  try {
    let path: string
    {
      const first = await createServer({ dataDir }, { modelFor: () => model })
      const caller = await testCaller(first)
      path = (await run(caller, 'closing')).path
      await expect.poll(() => requestsOf('closing')).toHaveLength(1)
      const paused = caller.post(`${path}/pause`)
      for (let count = 0; count < 20; count += 1) await turn()
      await first[Symbol.asyncDispose]()
      expect(await paused).toMatchObject({ status: 502, body: { error: { code: 'provider_error' } } })
    }
    await using second = await createServer({ dataDir }, { modelFor: () => model })
    const caller = await testCaller(second)
    await expect.poll(() => requestsOf('closing')).toHaveLength(2)
    requestsOf('closing')[1]?.answer({ text: 'done' })
    await expect.poll(async () => (await caller.get(path)).body).toMatchObject({ task: { status: 'completed' } })
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})

test('a job is done when the pause of its task is stored', async () => {
  const job = nextJob()
  const { path, state } = await run(api, 'held')
  const ended = queue.handOut(job)
  await expect.poll(() => requestsOf('held')).toHaveLength(1)
  const paused = api.post(`${path}/pause`)
  requestsOf('held')[0]?.answer({ toolCalls: [toolCall] })
  expect(await paused).toMatchObject({ status: 200 })
  expect(await ended).toBe('done')
  expect(await state()).toMatchObject({ status: 'paused', task: { status: 'paused' } })
})

test('a server that closes gives back the jobs of its tasks, and takes no others', async () => {
  const other = await openServer()
  await run(other.api, 'given back')
  const ended = other.queue.handOut(0)
  await expect.poll(() => requestsOf('given back')).toHaveLength(1)
  await other.server[Symbol.asyncDispose]()
  expect(await ended).toBe('again')
  expect(await other.queue.handOut(0)).toBe('again')
})

test('a task whose model the next server does not have fails at its start', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'theazo-worker-'))
  try {
    let path: string
    {
      await using first = await createServer({ dataDir }, { modelFor: () => model })
      path = (await run(await testCaller(first), 'no model')).path
      await expect.poll(() => requestsOf('no model')).toHaveLength(1)
    }
    await using second = await createServer({ dataDir }, { modelFor: () => undefined })
    const caller = await testCaller(second)
    await expect
      .poll(async () => (await caller.get(path)).body)
      .toMatchObject({ status: 'idle', task: { status: 'failed', error: { code: 'provider_error' } } })
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})
