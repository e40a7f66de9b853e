// Calls that wait for a person, conversations over several tasks, and caps on the cost of models.
import { ConflictError, type StatusEvent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bash, modelIds, price, type ScriptedModels, startModels } from './scripted-models.ts'

type Script = Parameters<typeof startModels>[0]

const model = { id: modelIds[0] }
let models: ScriptedModels
let local: LocalTheazo
let theazo: Theazo
let script: Script

beforeAll(async () => {
  models = await startModels((turn) => script(turn))
  local = await createLocalTheazo({ models: models.options })
  theazo = new Theazo(local)
})

afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await models[Symbol.asyncDispose]()
})

const append: Script = ({ results }) =>
  results.length === 0 ? bash('echo x >> runs') : { content: `result: ${results[0]}` }

test('a call that needs an approval pauses the agent; an approved call runs once, a refused one never', async () => {
  script = append
  const session = await theazo.sessions.forUser('approvals')
  await using agent = await session.agents.create({ model, approvals: ['run_code'] })
  const asked: unknown[] = []
  const statuses: StatusEvent[] = []
  const first = agent.run('go')
  await first.forward({
    onStatus: (event) => void statuses.push(event),
    onApproval: (call) => {
      asked.push(call)
      return true
    },
  })
  expect(asked).toMatchObject([{ tool: 'run_code', callId: expect.any(String), input: { code: 'echo x >> runs' } }])
  expect(statuses.map(({ status, reason }) => [status, reason])).toEqual([
    ['running', undefined],
    ['paused', 'approval_required'],
    ['running', undefined],
  ])
  expect((await agent.exec('bash', 'wc -l < runs')).stdout).toBe('1\n')

  const second = agent.run('go', { fresh: true })
  await second.forward({ onApproval: () => ({ approve: false, message: 'Not on a Sunday.' }) })
  expect((await second.result()).output).toContain('refused')
  expect((await second.result()).output).toContain('Not on a Sunday.')
  expect((await agent.exec('bash', 'wc -l < runs')).stdout).toBe('1\n')
})

test('a call whose input is invalid asks nobody: the model reads what is wrong, and its next call is asked about', async () => {
  script = ({ results }) => {
    if (results.length === 0) return { toolCalls: [{ name: 'run_code', arguments: '{"language":"cobol","code":"x"}' }] }
    return results.length === 1 ? bash('echo ran') : { content: results.join('; ') }
  }
  const session = await theazo.sessions.forUser('approvals')
  await using agent = await session.agents.create({ model, approvals: ['run_code'] })
  const asked: unknown[] = []
  const run = agent.run('go')
  await run.forward({ onApproval: ({ input }) => Boolean(asked.push(input)) })
  expect(asked).toEqual([{ language: 'bash', code: 'echo ran' }])
  expect((await run.result()).output).toMatch(/run_code did not run\. language must be.*; .*ran/s)
})

test('a call of http_request with headers as an object, which the tool accepts, is asked about too', async () => {
  const input = JSON.stringify({ url: 'http://127.0.0.1:9/', headers: { accept: 'text/plain' }, method: 'GET' })
  script = ({ results }) =>
    results.length === 0
      ? { toolCalls: [{ name: 'http_request', arguments: input }] }
      : { content: `result: ${results[0]}` }
  const session = await theazo.sessions.forUser('approvals')
  await using agent = await session.agents.create({ model, tools: ['http_request'], approvals: ['http_request'] })
  const run = agent.run('go')
  let asked = 0
  await run.forward({
    onApproval: () => {
      asked += 1
      return false
    },
  })
  expect(asked).toBe(1)
  expect((await run.result()).output).toContain('refused this call')
})

test('an agent whose call waits is resumed only with an answer, and only then takes one', async () => {
  script = append
  const session = await theazo.sessions.forUser('approvals')
  await using agent = await session.agents.create({ model, approvals: ['run_code'] })
  const run = agent.run('go')
  await expect.poll(async () => (await agent.refresh()).data.status).toBe('paused')
  expect(agent.data).toMatchObject({ approvals: ['run_code'], reason: 'A call of run_code waits for an approval.' })
  await expect(agent.exec('bash', 'true')).rejects.toThrow(ConflictError)
  const refused = await agent.resume().catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'conflict', details: { toolCall: { tool: 'run_code' } } })
  const other = await agent.resume({ approve: true, callId: 'call_of_another' }).catch((error: unknown) => error)
  expect(other).toMatchObject({ code: 'conflict', message: expect.stringContaining('another call') })
  await agent.resume({ approve: true })
  await run.result()
  await agent.pause()
  await expect(agent.resume({ approve: true })).rejects.toMatchObject({
    message: expect.stringContaining('omit approve'),
  })
  await agent.resume()
  const unknown = session.agents.create({ model, approvals: ['run_coed'] })
  await expect(unknown).rejects.toMatchObject({
    message: expect.stringContaining('approvals: must name tools of the agent'),
  })
})

test('tasks of one agent are one conversation, until a task begins anew; files stay', async () => {
  script = ({ request, prompt, results }) => {
    if (prompt === 'write') return results.length === 0 ? bash('echo secret > note') : { content: 'written' }
    const seen = request.messages.filter(({ role }) => role === 'user').map(({ content }) => content)
    return { content: JSON.stringify({ seen: JSON.stringify(seen), answers: request.messages.length }) }
  }
  const session = await theazo.sessions.forUser('conversations')
  await using agent = await session.agents.create({ model })
  await agent.run('write').result()
  const second = JSON.parse((await agent.run('what did I say?').result()).output)
  expect(second.seen).toContain('write')
  const third = JSON.parse((await agent.run('and now?', { fresh: true }).result()).output)
  expect(third.seen).not.toContain('write')
  const fourth = JSON.parse((await agent.run('once more').result()).output)
  expect(fourth.seen).toContain('and now?')
  expect(fourth.seen).not.toContain('write')
  expect(await agent.files.readText('note')).toBe('secret\n')
})

test('a task that was cancelled in a tool call stays in the conversation, and the next task works', async () => {
  script = ({ prompt, results }) => {
    if (prompt === 'slow' && results.length === 0) return bash('touch started; sleep 100')
    return { content: `I see ${prompt}` }
  }
  for (const id of modelIds) {
    const session = await theazo.sessions.forUser('conversations')
    await using agent = await session.agents.create({ model: { id } })
    const slow = agent.run('slow')
    await agent.exec('bash', 'until [[ -e started ]]; do sleep 0.02; done')
    await slow.cancel()
    await expect(slow.result()).rejects.toMatchObject({ code: 'cancelled' })
    expect((await agent.run('next').result()).output).toBe('I see next')
  }
})

test('the cap is checked before a call with an estimate, and after it with the cost; a higher cap lets the task go on', async () => {
  const tokens = { input_tokens: 100_000, output_tokens: 10_000 }
  script = ({ results }) =>
    results.length < 2 ? { ...bash('echo on >> runs'), usage: tokens } : { content: 'done', usage: tokens }
  const perStep = (tokens.input_tokens * price.input + tokens.output_tokens * price.output) / 10_000 // cents
  const limit = (amount: number) => ({ maxCost: { amount, currency: 'usd', period: 'session' } as const })
  const session = await theazo.sessions.create({ userId: 'capped', limits: limit(Math.ceil(perStep) + 5) })
  await using agent = await session.agents.create({ model })
  const run = agent.run('go')
  const stopped = await run.result().catch((error: unknown) => error)
  expect(stopped).toMatchObject({ code: 'session_limit_exceeded' })
  // The second step went over the cap, so the third did not begin.
  await expect.poll(async () => (await agent.refresh()).data.status).toBe('paused')
  const { cost } = await agent.tasks.get(await run.taskId)
  expect(cost.amount).toBe(Math.round(perStep * 2))
  await expect(agent.resume()).rejects.toMatchObject({ code: 'session_limit_exceeded' })
  await session.update({ limits: limit(1_000) })
  await agent.resume()
  const { output, cost: total } = await agent.attach(await run.taskId).result()
  expect([output, total?.amount]).toEqual(['done', Math.round(perStep * 3)])
  const usage = await theazo.usage.summary({ sessionId: session.id })
  expect(usage.models.cost).toEqual(total)

  // A prompt that costs more than what is left: no call is made.
  const poor = await theazo.sessions.create({ userId: 'poor', limits: limit(2) })
  await using small = await poor.agents.create({ model })
  const before = models.requests.length
  const long = await small
    .run('word '.repeat(40_000))
    .result()
    .catch((error: unknown) => error)
  expect(long).toMatchObject({ code: 'session_limit_exceeded', message: expect.stringContaining('next call of model') })
  expect(models.requests.length).toBe(before)
  await expect.poll(async () => (await small.refresh()).data.status).toBe('paused')
})

test('an agent that a cap pauses stays frozen if the pause of a caller comes too late', async () => {
  const tokens = { input_tokens: 100_000, output_tokens: 10_000 }
  const ticker = 'setsid bash -c "while sleep 0.02; do date +%s%3N >> ticks; done" > /dev/null 2>&1 & sleep 2'
  script = ({ results }) =>
    results.length === 0 ? { ...bash(ticker), usage: tokens } : { content: 'done', usage: tokens }
  const limits = (amount: number) => ({ maxCost: { amount, currency: 'usd', period: 'session' } as const })
  const session = await theazo.sessions.create({ userId: 'frozen', limits: limits(1_000) })
  await using agent = await session.agents.create({ model, approvals: [] })
  const run = agent.run('go')
  const followed = run.forward({}).catch(() => {})
  await agent.exec('bash', 'until [[ -e ticks ]]; do sleep 0.02; done')
  const paused = agent.pause().catch((error: unknown) => error)
  await session.update({ limits: limits(1) })
  await paused
  await expect.poll(async () => (await agent.refresh()).data.status).toBe('paused')
  const frozenMs = 1_500
  await sleep(frozenMs) // code that is frozen makes no event
  await session.update({ limits: limits(1_000) })
  await agent.resume()
  await followed
  await agent.attach(await run.taskId).result()
  const ticks = (await agent.files.readText('ticks')).trim().split('\n').map(Number)
  const longest = Math.max(...ticks.slice(1).map((tick, index) => tick - (ticks[index] ?? tick)))
  expect(longest).toBeGreaterThan(frozenMs / 2)
})

test('old outputs are cut if the context window is full, and the model reads that', { timeout: 120_000 }, async () => {
  let cuts = 0
  script = ({ request, results }) => {
    if (JSON.stringify(request.messages).includes('was removed: it did not fit')) cuts += 1
    return results.length < 30
      ? bash(`seq ${results.length}000 ${results.length}000000 | head -c 28000`)
      : { content: 'done' }
  }
  const session = await theazo.sessions.forUser('window')
  await using agent = await session.agents.create({ model: { id: 'local/small' }, timeoutSeconds: 120 })
  expect((await agent.run('go').result()).output).toBe('done')
  expect(cuts).toBeGreaterThan(0)
  const largest = Math.max(...models.requests.map(({ body }) => body.length))
  expect(largest).toBeLessThan(128_000 * 4)
})
