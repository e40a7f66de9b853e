import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiCaller } from '../../../../test/src/support/api-caller.ts'
import type { Model, ModelRequest, ModelStep } from '../engine/model.ts'
import { createServer, type Server } from '../server.ts'

/** The requests to the model, with functions to answer them. */
const modelRequests: { request: ModelRequest; answer: (step: Partial<ModelStep>) => void; signal: AbortSignal }[] = []
const model: Model = {
  id: 'asked',
  async step(request, _onDelta, signal) {
    const { promise, resolve, reject } = Promise.withResolvers<ModelStep>()
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    const usual: ModelStep = { kind: 'model', toolCalls: [], inputTokens: 0, outputTokens: 0, cost: 0 }
    modelRequests.push({ request, signal, answer: (step) => resolve({ ...usual, ...step }) })
    return await promise
  },
}

let server: Server
let api: ApiCaller
beforeAll(async () => {
  server = await createServer({}, { modelFor: () => model })
  const fetch: typeof globalThis.fetch = (input, init) => server.fetch(new Request(input, init))
  const { key } = await server.keys.create({ mode: 'test', plan: 'enterprise' })
  api = new ApiCaller({ baseUrl: 'http://theazo.local/v1', apiKey: key, fetch })
})
afterAll(() => server[Symbol.asyncDispose]())

test('at most one loop works on a task, at whatever moment of its start the agent is paused', async () => {
  const { body: session } = await api.post('/sessions', { userId: 'u' })
  let waitingPauses = 0
  for (let microtasks = 20; microtasks < 160; microtasks += 2) {
    const { id } = (await api.post(`/sessions/${session.id}/agents`)).body
    const prompt = `after ${microtasks}`
    const started = api.post(`/agents/${id}/run`, { task: prompt })
    for (let count = 0; count < microtasks; count += 1) await Promise.resolve()
    const pause = { isOver: false }
    const paused = api.post(`/agents/${id}/pause`).finally(() => (pause.isOver = true))
    const openRequests = () =>
      modelRequests.filter(({ request, signal }) => request.prompt === prompt && !signal.aborted)
    const { status } = await started
    for (let count = 0; count < 10 && openRequests().length === 0 && !pause.isOver; count += 1) await turn()
    const isPauseWaiting = status === 202 && !pause.isOver
    if (isPauseWaiting) {
      waitingPauses += 1
      expect(openRequests()).toHaveLength(1) // the pause waits for it
      openRequests()[0]?.answer({
        toolCalls: [{ id: 'c', tool: 'run_code', input: { language: 'bash', code: 'true' } }],
      })
    }
    const { status: pauseStatus } = await paused
    expect([200, 409]).toContain(pauseStatus)
    if (status === 202 && pauseStatus === 200) {
      for (let count = 0; count < 5; count += 1) await turn()
      const before = openRequests().length
      expect(before, `requested after ${microtasks} microtasks`).toBe(isPauseWaiting ? 1 : 0) // no loop continues after the pause
      expect((await api.get(`/agents/${id}`)).body).toMatchObject({ status: 'paused', task: { status: 'paused' } })
      await api.post(`/agents/${id}/resume`)
      await expect.poll(() => openRequests().length).toBe(before + 1)
      openRequests().at(-1)?.answer({ text: 'done' })
      await expect.poll(async () => (await api.get(`/agents/${id}`)).body.task.status).toBe('completed')
    }
    await api.post(`/agents/${id}/terminate`)
  }
  expect(waitingPauses).toBeGreaterThan(3)
})
