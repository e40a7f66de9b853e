import { setImmediate } from 'node:timers/promises'
import type { Agent, AgentEvent, Session } from '@theazo/core'
import { cancelTask, getTask, runTask, startTask, type Tool, type ToolCallOptions } from '@theazo/core/tools'
import { describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { errorOf } from '../support/error-of.ts'

/** The server under test. */
interface Subject {
  session: () => Session
}

/**
 * Runs of an agent's own loop, for a server with a model that obeys the directives of test keys (`theazo:output=…`):
 * the output of a real model cannot be predicted.
 */
export function describeRuns({ session }: Subject): void {
  const newAgent = (): Promise<Agent> => session().agents.create()
  const answer = 'theazo:output="It is 3." theazo:cost=12'

  describe('run', () => {
    test('can be iterated from its first event to its last', async () => {
      await using agent = await newAgent()
      const run = agent.run(answer)
      const events = await collect(run)
      // Several words form one event, because each event is a durable write.
      const types = ['status', 'thinking', 'tool_call', 'tool_result', 'output_delta', 'output']
      expect(typesOf(events)).toEqual(types)
      expect(events.at(-1)).toMatchObject({ text: 'It is 3.', cost: { amount: 13, currency: 'usd' } })
      const taskId = await run.taskId
      expect(events.every((event) => event.taskId === taskId)).toBe(true)
      const ids = events.map(({ eventId }) => Number(eventId))
      expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) + index)) // they grow by one
    })

    test('returns its result, any number of times, without a reader of its events', async () => {
      await using agent = await newAgent()
      const run = agent.run(answer)
      const result = { taskId: await run.taskId, output: 'It is 3.', cost: { amount: 13, currency: 'usd' } }
      expect([await run.result(), await run.result()]).toEqual([result, result])
    })

    test('can be forwarded: each event to its callback, in order', async () => {
      await using agent = await newAgent()
      const received: string[] = []
      const record = (event: AgentEvent): void => void received.push(event.type)
      let text = ''
      await agent.run(answer).forward({
        onThinking: record,
        onToolCall: record,
        onToolResult: record,
        onOutputDelta: (event) => (text += event.text),
        onOutput: (event) => {
          record(event)
          expect(event.text).toBe(text)
        },
      })
      expect(received).toEqual(['thinking', 'tool_call', 'tool_result', 'output'])
    })

    test('has any number of consumers, and each receives every event', async () => {
      await using agent = await newAgent()
      const run = agent.run(`theazo:output="${'word '.repeat(50)}"`)
      const forwarded: AgentEvent[] = []
      const slow = async (event: AgentEvent): Promise<void> => {
        await setImmediate()
        forwarded.push(event)
      }
      const [first, second, result] = await Promise.all([
        collect(run),
        collect(run),
        run.result(),
        run.forward({ onEvent: slow }),
      ])
      expect(first?.at(-1)).toMatchObject({ type: 'output', text: result?.output })
      expect([second, forwarded]).toEqual([first, first])
    })

    test('that is cancelled ends with the code of a cancellation', async () => {
      await using agent = await newAgent()
      const run = agent.run('theazo:hang')
      const events = collect(run)
      await run.taskId
      await run.cancel()
      expect((await events).at(-1)).toMatchObject({ type: 'error', code: 'cancelled', isResumable: false })
      expect(await errorOf(run.result())).toMatchObject({ code: 'cancelled' })
      expect((await agent.tasks.get(await run.taskId)).status).toBe('cancelled')
    })

    test('that is aborted rejects with the reason of the abort, and its task is cancelled', async () => {
      await using agent = await newAgent()
      const abort = new AbortController()
      const reason = new Error('enough')
      const run = agent.run('theazo:hang', { signal: abort.signal })
      const taskId = await run.taskId
      abort.abort(reason)
      expect(await errorOf(run.result())).toBe(reason)
      await expect.poll(async () => (await agent.tasks.get(taskId)).status, { timeout: 20_000 }).toBe('cancelled')
    })

    test('that fails rejects with the code of its error', async () => {
      await using agent = await newAgent()
      const run = agent.run('theazo:error=provider_error')
      expect(await errorOf(run.result())).toMatchObject({ name: 'ProviderError', code: 'provider_error' })
    })

    test('that the server refuses rejects all its consumers with the error', async () => {
      await using agent = await newAgent()
      const first = agent.run('theazo:hang')
      await first.taskId
      const second = agent.run('another')
      const conflict = { name: 'ConflictError', status: 409 }
      expect(await errorOf(collect(second))).toMatchObject(conflict)
      expect(await errorOf(second.result())).toMatchObject(conflict)
      await first.cancel()
    })

    test('can be left, and attached to from the last received event, without missing or repeated events', async () => {
      await using agent = await newAgent()
      const run = agent.run('theazo:steps=5 theazo:delay=20')
      const seen: AgentEvent[] = []
      for await (const event of run) {
        seen.push(event)
        if (event.type === 'tool_result') break
      }
      const attached = agent.attach(await run.taskId, { lastEventId: seen.at(-1)?.eventId })
      seen.push(...(await collect(attached)))
      const ids = seen.map(({ eventId }) => Number(eventId))
      expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) + index))
      expect(typesOf(seen).filter((type) => type === 'tool_result')).toHaveLength(5)
      expect(seen.at(-1)?.type).toBe('output')
      expect(await run.result()).toEqual(await attached.result()) // the left run still returns its result
    })

    test('that has ended can be attached to: with lastEventId all later events arrive, without it only the end', async () => {
      await using agent = await newAgent()
      const run = agent.run(answer)
      const events = await collect(run)
      const taskId = await run.taskId
      const before = String(Number(events[0]?.eventId) - 1)
      expect(await collect(agent.attach(taskId, { lastEventId: before }))).toEqual(events)
      const [end, ...more] = await collect(agent.attach(taskId))
      expect([end, more]).toMatchObject([{ type: 'output', text: 'It is 3.', taskId }, []])
      expect((await agent.attach(taskId).result()).output).toBe('It is 3.')
    })

    test('waits while its agent is paused, and continues after resume', async () => {
      await using agent = await newAgent()
      const run = agent.run('theazo:steps=3 theazo:delay=100')
      const seen: AgentEvent[] = []
      const isPaused = Promise.withResolvers<void>()
      const reading = run.forward({
        async onEvent(event) {
          seen.push(event)
          if (event.type === 'status' && event.status === 'paused') isPaused.resolve()
        },
      })
      await run.taskId
      expect((await agent.pause()).data).toMatchObject({ status: 'paused', task: { status: 'paused' } })
      await isPaused.promise
      expect(typesOf(seen)).not.toContain('output')
      expect((await agent.resume()).data).toMatchObject({ status: 'running', task: { status: 'running' } })
      await reading
      expect(typesOf(seen).filter((type) => type === 'tool_call')).toHaveLength(3)
      expect((await run.result()).output).toContain('after 3 tool calls')
    })

    test('of an agent that is terminated ends, and so does the event stream of the agent', async () => {
      const agent = await newAgent()
      const all = collect(agent.stream({ lastEventId: '0' }))
      const run = agent.run('theazo:hang')
      await run.taskId
      await agent.terminate()
      expect(await errorOf(run.result())).toMatchObject({ code: 'terminated' })
      expect((await all).slice(-2)).toMatchObject([
        { type: 'error', code: 'terminated' },
        { type: 'status', status: 'terminated' },
      ])
    })
  })

  describe('tasks', () => {
    test('can be read while they run and afterwards', async () => {
      await using agent = await newAgent()
      const run = agent.run('theazo:hang')
      const taskId = await run.taskId
      expect(await agent.tasks.get(taskId)).toMatchObject({ id: taskId, agentId: agent.id, status: 'running' })
      await agent.tasks.cancel(taskId)
      await agent.tasks.cancel(taskId) // a second call succeeds, too
      expect(await agent.tasks.get(taskId)).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } })
      expect((await agent.refresh()).data).toMatchObject({ status: 'idle', task: { id: taskId } })
      const done = await agent.run(answer).result()
      expect(await agent.tasks.get(done.taskId)).toMatchObject({ status: 'completed', output: 'It is 3.' })
      expect(await errorOf(agent.tasks.cancel(done.taskId))).toMatchObject({ name: 'ConflictError' })
    })

    test('with unknown ids are not found', async () => {
      await using agent = await newAgent()
      const none = { name: 'NotFoundError', status: 404 }
      expect(await errorOf(agent.tasks.get('task_none'))).toMatchObject(none)
      expect(await errorOf(agent.tasks.cancel('task_none'))).toMatchObject(none)
    })
  })

  describe('tools for tasks', () => {
    test('run_task returns the output with its cost, and reports progress', async () => {
      await using sandbox = await newAgent()
      const messages: string[] = []
      const report = ({ message }: { message: string }): void => void messages.push(message)
      const { data, text } = await dataOf(runTask, { task: answer }, { sandbox, report })
      expect(data).toMatchObject({ agentId: sandbox.id, output: 'It is 3.', cost: { amount: 13, currency: 'usd' } })
      expect(text).toBe('It is 3.\n[cost: $0.13]')
      expect(messages.join('')).toBe('I use run_code for this.\ncalls run_code\nIt is 3.')
    })

    test('a failed run_task returns the reason to the model', async () => {
      await using sandbox = await newAgent()
      const result = await runTask.run({ task: 'theazo:error=session_limit_exceeded' }, { sandbox })
      expect(result).toMatchObject({ isError: true, error: { code: 'session_limit_exceeded' } })
    })

    test('a run_task that takes too long is cancelled, and the result says so', async () => {
      await using sandbox = await newAgent()
      const result = await runTask.run({ task: 'theazo:hang', timeoutSeconds: 1 }, { sandbox })
      expect(result).toMatchObject({ isError: true, text: expect.stringContaining('within 1 s and was cancelled') })
      const status = async () => (await sandbox.refresh()).data.task?.status
      await expect.poll(status, { timeout: 20_000 }).toBe('cancelled')
    })

    test('start_task runs in the background; get_task reads it, cancel_task ends it', async () => {
      await using sandbox = await newAgent()
      const { data: started, text } = await dataOf(startTask, { task: 'theazo:hang' }, { sandbox })
      expect(text).toBe(`Started ${started.taskId}. Read its status with get_task.`)
      const { taskId } = started
      const running = await dataOf(getTask, { taskId }, { sandbox })
      expect([running.data.status, running.text]).toEqual(['running', `${taskId} is running.\n[cost so far: $0.00]`])
      expect((await dataOf(cancelTask, { taskId }, { sandbox })).text).toBe(`Cancelled ${taskId}.`)
      expect((await dataOf(getTask, { taskId }, { sandbox })).data.status).toBe('cancelled')

      const second = await dataOf(startTask, { task: answer }, { sandbox })
      const ask = () => dataOf(getTask, { taskId: second.data.taskId }, { sandbox })
      await expect.poll(async () => (await ask()).data.status, { timeout: 20_000 }).toBe('completed')
      expect((await ask()).text).toContain('It is 3.\n[cost so far: $0.13]')
      const none = await getTask.run({ taskId: 'task_none' }, { sandbox })
      expect(none).toMatchObject({ isError: true, error: { code: 'tool_input' } })
      expect(none.text).toBe('There is no task task_none in this sandbox. Use the id from start_task.')
    })
  })
}

function typesOf(events: AgentEvent[]): string[] {
  return events.map(({ type }) => type)
}

/** Runs a tool and validates its data against the output schema of the tool. */
async function dataOf<Input, Data>(tool: Tool<string, Input, Data>, input: Input, options: ToolCallOptions) {
  const result = await tool.run(input, options)
  if (result.isError) throw new Error(result.text)
  expect(tool.output.safeParse(result.data).error).toBeUndefined()
  return { data: result.data, text: result.text }
}
