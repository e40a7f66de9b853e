// Tools that call the API for tasks, agents and usage, against an in-memory API.
import { type Agent, type Session, Theazo } from '@theazo/core'
import {
  cancelTask,
  createAgent,
  getAgent,
  getTask,
  getUsage,
  listAgents,
  pauseAgent,
  resumeAgent,
  runTask,
  startTask,
  terminateAgent,
  type Tool,
  type ToolCallOptions,
} from '@theazo/core/tools'
import { expect, test } from 'vitest'
import { type FaultServer, startFaultServer } from './fault-server.ts'
import { watchLeaks } from './leaks.ts'

watchLeaks()

interface Setting extends AsyncDisposable {
  server: FaultServer
  theazo: Theazo
  session: Session
  agent: Agent
}

async function start(): Promise<Setting> {
  const server = await startFaultServer()
  const theazo = new Theazo(server.options)
  const session = await theazo.sessions.forUser('tools', {
    limits: { maxCost: { amount: 500, currency: 'usd', period: 'session' } },
  })
  const agent = await session.agents.create({ name: 'main' })
  return { server, theazo, session, agent, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

/** Runs a tool and validates its data against the output schema of the tool. */
async function dataOf<Input, Data>(
  tool: Tool<string, Input, Data>,
  input: Input,
  options: ToolCallOptions,
): Promise<{ data: Data; text: string }> {
  const result = await tool.run(input, options)
  if (result.isError) expect.fail(result.text)
  expect(tool.output.safeParse(result.data).error).toBeUndefined()
  return { data: result.data, text: result.text }
}

test('run_task returns the output with its cost, and reports progress', async () => {
  await using setting = await start()
  const { agent: sandbox } = setting
  const messages: string[] = []
  const report = ({ message }: { message: string }): void => void messages.push(message)
  const { data, text } = await dataOf(runTask, { task: 'What is 1 + 1?' }, { sandbox, report })
  expect(data).toMatchObject({ agentId: sandbox.id, output: 'It is 2.', cost: { amount: 3, currency: 'usd' } })
  expect(text).toBe('It is 2.\n[cost: $0.03]')
  expect(messages).toEqual(['Let me see.\n', 'calls run_code\n'])
})

test('a failed run_task returns the reason to the model', async () => {
  await using setting = await start()
  const { agent: sandbox, server } = setting
  server.api.script = [['error', { code: 'session_limit_exceeded', message: 'The cap of $5.00 is reached.' }]]
  for (const report of [undefined, () => {}]) {
    const result = await runTask.run({ task: 'x' }, { sandbox, report })
    expect(result).toMatchObject({ isError: true, error: { code: 'session_limit_exceeded' } })
    expect(result.text).toMatch(/cap of \$5\.00.*Stop using this tool/s)
  }
})

test('an abort of run_task cancels the task and rejects with its reason', async () => {
  await using setting = await start()
  const { agent: sandbox, server } = setting
  server.api.script = [['thinking', { text: 'Hm.' }]]
  const abort = new AbortController()
  const reason = new Error('enough')
  const report = (): void => abort.abort(reason)
  await expect(runTask.run({ task: 'x' }, { sandbox, report, signal: abort.signal })).rejects.toBe(reason)
  await server.until(() => server.arrived('POST', '/cancel').length === 1)
  await server.idle()
})

test('a run_task that takes too long is cancelled, and the result says so', async () => {
  await using setting = await start()
  const { agent: sandbox, server } = setting
  server.api.script = []
  const result = await runTask.run({ task: 'x', timeoutSeconds: 1 }, { sandbox })
  expect(result).toMatchObject({ isError: true, text: expect.stringContaining('within 1 s and was cancelled') })
  await server.until(() => server.arrived('POST', '/cancel').length === 1)
  await server.idle()
})

test('a task continues in the background after start_task, and can be read and cancelled', async () => {
  await using setting = await start()
  const { agent: sandbox, server } = setting
  server.api.script = []
  const { data } = await dataOf(startTask, { task: 'Take your time.' }, { sandbox })
  await server.idle()
  const running = await dataOf(getTask, { taskId: data.taskId }, { sandbox })
  expect(running.text).toBe(`${data.taskId} is running.\n[cost so far: $0.00]`)
  server.api.emit(sandbox.id, data.taskId, ['output', { text: 'Done.', cost: { amount: 7, currency: 'usd' } }])
  const done = await dataOf(getTask, { taskId: data.taskId }, { sandbox })
  expect(done.text).toBe(`${data.taskId} is completed.\nDone.\n[cost so far: $0.07]`)

  const second = await dataOf(startTask, { task: 'Another.' }, { sandbox })
  expect((await dataOf(cancelTask, { taskId: second.data.taskId }, { sandbox })).text).toContain('Cancelled')
  expect((await dataOf(getTask, { taskId: second.data.taskId }, { sandbox })).data.status).toBe('cancelled')
  const unknown = await getTask.run({ taskId: 'task_none' }, { sandbox })
  expect(unknown).toMatchObject({ isError: true, error: { code: 'not_found' } })
})

test('get_usage returns the use of the cap, for this session only', async () => {
  await using setting = await start()
  const { agent: sandbox, theazo, session, server } = setting
  const account = { usage: theazo.usage, session }
  const { data, text } = await dataOf(getUsage, {}, { sandbox, account })
  expect(data).toMatchObject({ maxCost: { amount: 500, period: 'session' }, remainingCents: 500 })
  expect(text).toBe('Spent: $0.00 (compute $0.00, models $0.00). The cap is $5.00 in total; $5.00 are left.')
  expect(server.arrived('GET', '/usage/summary')[0]?.query.get('sessionId')).toBe(session.id)
  await session.update({ limits: { maxCost: null } })
  expect((await dataOf(getUsage, {}, { sandbox, account })).text).toContain('There is no cap.')
})

test('agents can be read, paused, resumed, created, listed and terminated', async () => {
  await using setting = await start()
  const { agent: sandbox, theazo, session } = setting
  const account = { usage: theazo.usage, session }
  expect((await dataOf(getAgent, {}, { sandbox })).text).toBe(`${sandbox.id} (main) is idle.`)
  expect((await dataOf(pauseAgent, {}, { sandbox })).data.status).toBe('paused')
  const again = await pauseAgent.run({}, { sandbox })
  expect(again).toMatchObject({ isError: true, error: { code: 'conflict' } })
  expect((await dataOf(resumeAgent, {}, { sandbox })).data.status).toBe('idle')
  const other = await dataOf(createAgent, { name: 'other' }, { sandbox, account })
  const listed = await dataOf(listAgents, {}, { sandbox, account })
  expect(listed.data.agents.map(({ agentId }) => agentId).toSorted()).toEqual(
    [sandbox.id, other.data.agentId].toSorted(),
  )
  expect((await dataOf(terminateAgent, {}, { sandbox })).data.status).toBe('terminated')
  expect((await sandbox.refresh()).data.status).toBe('terminated')
})
