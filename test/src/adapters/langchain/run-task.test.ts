// The work of a remote agent in LangChain's streams and traces. The agents belong to test keys, whose model is scripted.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { AIMessage, type BaseMessage, HumanMessage } from '@langchain/core/messages'
import { BaseCallbackHandler } from '@langchain/core/callbacks/base'
import { BaseTracer, type Run } from '@langchain/core/tracers/base'
import { MessagesAnnotation, StateGraph } from '@langchain/langgraph'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, listenTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorOf } from '../../support/error-of.ts'
import { root } from '../../support/server-process.ts'
import { calling, toolGraph } from './graphs.ts'
import type { TheazoTool } from '@theazo/langchain'
import { createTheazoNode } from '@theazo/langchain'
import { theazoTools } from '@theazo/langchain'

let local: LocalTheazo
let client: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  client = new Theazo({ ...local, apiKey })
})
afterAll(() => local[Symbol.asyncDispose]())

const task = (text: string) => calling({ name: 'run_task', args: { task: text }, id: 'call_1' })

/** Tools whose remote agent has a tool of its own, `run_code`. */
async function taskTools(options: Parameters<typeof theazoTools>[0] = {}): Promise<TheazoTool[]> {
  const session = await client.sessions.forUser('run_task')
  const agent = await session.agents.create({ tools: ['run_code'] })
  return theazoTools({ agent, only: ['run_task'], ...options })
}

/** Records the tree of runs. */
class Tracer extends BaseTracer {
  readonly name = 'tracer'
  root: Run | undefined
  protected async persistRun(run: Run): Promise<void> {
    this.root = run
  }
}

interface Node {
  name: string
  type: string
  isOpen: boolean
  error?: string | undefined
  children?: Node[]
}

function treeOf({ name, run_type: type, end_time: end, error, child_runs: children }: Run): Node {
  return { name, type, isOpen: end === undefined, error, children: children.map((child) => treeOf(child)) }
}

async function trace(tools: TheazoTool[], text: string): Promise<Run | undefined> {
  const tracer = new Tracer()
  const [tool] = tools
  const call = { name: 'run_task', args: { task: text }, id: 'call_1', type: 'tool_call' as const }
  await tool?.invoke(call, { callbacks: [tracer] }).catch(() => {})
  return tracer.root
}

test('a tracer sees the remote steps and tool calls below run_task, and all runs have ended', async () => {
  const root = await trace(await taskTools(), 'theazo:steps=2')
  const step = { name: 'theazo_agent', type: 'llm', isOpen: false, error: undefined, children: [] }
  const call = { name: 'run_code', type: 'tool', isOpen: false, error: undefined, children: [] }
  expect(root && treeOf(root)).toEqual({
    name: 'run_task',
    type: 'tool',
    isOpen: false,
    error: undefined,
    children: [step, call, step, call, step],
  })
})

test('the last step carries the tokens and the cost of the task', async () => {
  const root = await trace(await taskTools(), 'theazo:cost=250')
  const message = root?.child_runs.at(-1)?.outputs?.['generations'][0][0].message as AIMessage
  expect(message.text).toMatch(/^Mocked answer/)
  // Two steps of 100 and 20 tokens.
  expect(message.usage_metadata).toEqual({
    input_tokens: 200,
    output_tokens: 40,
    total_tokens: 240,
    total_cost: expect.closeTo(2.5, 1),
  })
})

test('a remote tool call that fails is a failed run', async () => {
  const root = await trace(await taskTools(), 'theazo:tool_error')
  expect(root?.child_runs.find(({ run_type: type }) => type === 'tool')?.error).toContain('provider_error')
})

test('if the task fails, all child runs have ended', async () => {
  const root = await trace(await taskTools(), 'theazo:error=provider_error')
  const open = (run: Run): string[] => [
    ...(run.end_time === undefined ? [run.name] : []),
    ...run.child_runs.flatMap((child) => open(child)),
  ]
  expect(root && open(root)).toEqual([])
})

test('with childRuns false, run_task has no child runs', async () => {
  const root = await trace(await taskTools({ childRuns: false }), 'go')
  expect(root?.child_runs).toEqual([])
})

describe('streams of a graph', () => {
  test('messages has the thoughts and the answer, as one message', async () => {
    const graph = toolGraph(await taskTools())
    const chunks = await graph.stream({ messages: [task('theazo:output="one two three"')] }, { streamMode: 'messages' })
    const texts: string[] = []
    const thoughts: unknown[] = []
    const ids = new Set<string | undefined>()
    for await (const [message, metadata] of chunks as AsyncIterable<[BaseMessage, Record<string, unknown>]>) {
      if (metadata['ls_provider'] !== 'theazo') continue // the messages of the graph itself
      ids.add(message.id)
      expect(metadata).toMatchObject({ langgraph_node: 'tools' })
      if (message.text !== '') texts.push(message.text)
      if (Array.isArray(message.content)) thoughts.push(...message.content)
    }
    expect(texts.join('')).toBe('one two three')
    expect(thoughts).toContainEqual({ type: 'reasoning', reasoning: 'I use run_code for this.' })
    expect(ids.size).toBe(1)
  })

  const toolsOf = async (childRuns: 'hidden' | 'tool'): Promise<unknown[]> => {
    const graph = toolGraph(await taskTools({ childRuns }))
    const chunks = await graph.stream({ messages: [task('go')] }, { streamMode: 'tools' })
    const started: unknown[] = []
    for await (const chunk of chunks as AsyncIterable<{ event: string; name: string }>) {
      if (chunk.event === 'on_tool_start') started.push(chunk.name)
    }
    return started
  }

  test('tools has the remote calls only with childRuns tool', async () => {
    expect(await toolsOf('hidden')).toEqual(['run_task'])
    expect(await toolsOf('tool')).toEqual(['run_task', 'run_code'])
  })

  test('tools and custom have the events of the remote agent in order', async () => {
    const graph = toolGraph(await taskTools())
    const chunks = await graph.stream({ messages: [task('go')] }, { streamMode: ['tools', 'custom'] })
    const types: Record<string, string[]> = { tools: [], custom: [] }
    for await (const [mode, chunk] of chunks as AsyncIterable<[string, Record<string, { type: string }>]>) {
      const event = mode === 'custom' ? chunk['event'] : chunk['data']
      if (event && typeof event === 'object') types[mode]?.push(event.type)
    }
    const distinct = (list: string[] = []) => list.filter((type, index) => type !== list[index - 1])
    expect(distinct(types['custom'])).toEqual(['thinking', 'tool_call', 'tool_result', 'output_delta'])
    expect(distinct(types['tools'])).toEqual(distinct(types['custom']))
  })

  test('streamEvents v2 has the nested runs while they happen', async () => {
    const graph = toolGraph(await taskTools())
    const seen: string[] = []
    for await (const { event, name } of graph.streamEvents({ messages: [task('go')] }, { version: 'v2' })) {
      if (['run_task', 'run_code', 'theazo_agent'].includes(name)) seen.push(`${name} ${event}`)
    }
    expect(seen.filter((entry, index) => entry !== seen[index - 1])).toEqual([
      'run_task on_tool_start',
      'theazo_agent on_chat_model_start',
      'theazo_agent on_chat_model_stream',
      'theazo_agent on_chat_model_end',
      'run_code on_tool_start',
      'run_code on_tool_end',
      'theazo_agent on_chat_model_start',
      'theazo_agent on_chat_model_stream',
      'theazo_agent on_chat_model_end',
      'run_task on_tool_end',
    ])
  })
})

describe('createTheazoNode', () => {
  const graphOf = (node: ReturnType<typeof createTheazoNode>) =>
    new StateGraph(MessagesAnnotation).addNode('worker', node).addEdge('__start__', 'worker').compile()

  test('gives the last human message to the agent and returns its answer, with tokens and cost', async () => {
    const graph = graphOf(createTheazoNode({ client, userId: 'node' }))
    const { messages } = await graph.invoke({ messages: [new HumanMessage('Count. theazo:output=42 theazo:cost=7')] })
    const last = messages.at(-1) as AIMessage
    expect(last.text).toBe('42')
    expect(last.usage_metadata).toMatchObject({ total_tokens: expect.any(Number) })
    expect(last.response_metadata).toMatchObject({
      taskId: expect.stringMatching(/^task_/),
      cost: { amount: expect.any(Number), currency: 'usd' },
    })
  })

  test('its answer streams once, as messages of the node', async () => {
    const graph = graphOf(createTheazoNode({ client, userId: 'node' }))
    const chunks = await graph.stream(
      { messages: [new HumanMessage('theazo:output="a b"')] },
      { streamMode: 'messages' },
    )
    let text = ''
    for await (const [message, { langgraph_node: node }] of chunks as AsyncIterable<
      [BaseMessage, Record<string, string>]
    >) {
      if (message.type === 'ai' && node === 'worker') text += message.text
    }
    expect(text).toBe('a b')
  })

  test('task and update map any state', async () => {
    const node = createTheazoNode({
      client,
      sandbox: () => ({ userId: 'node', name: 'other' }),
      task: ({ question }: { question: string }) => `${question} theazo:output=yes`,
      update: ({ output, cost }) => ({ answer: output, cents: cost?.amount }),
    })
    expect(await node({ question: 'Is it?' })).toEqual({ answer: 'yes', cents: expect.any(Number) })
  })

  test('invalid settings and blank tasks are refused before anything is sent', async () => {
    expect(() => createTheazoNode({ client, userId: 'node', timeoutSeconds: -5 })).toThrow('from 1 to 3600, not -5')
    for (const task of ['', ' \n', undefined]) {
      const node = createTheazoNode({ client, userId: 'node', task: () => task as string })
      await expect(node({})).rejects.toThrow('The task must be text that is not blank.')
    }
  })

  test('an empty answer is text, which providers accept', async () => {
    const node = createTheazoNode({ client, userId: 'node' })
    const { messages } = await node({ messages: [new HumanMessage('theazo:output=""')] })
    expect(messages[0]?.text).not.toBe('')
  })

  test('a failed task rejects with its error, and a state without a message with advice', async () => {
    const node = createTheazoNode({ client, userId: 'node' })
    const failing = node({ messages: [new HumanMessage('theazo:error=provider_error')] })
    await expect(failing).rejects.toMatchObject({ code: 'provider_error' })
    await expect(node({})).rejects.toThrow(
      'The state has no human message (a HumanMessage in messages). Give the option task.',
    )
  })
})

test('an abort cancels the task', async () => {
  const agent = await (await client.sessions.forUser('aborted')).agents.create({ tools: ['run_code'] })
  const tools = theazoTools({ agent, only: ['run_task'] })
  const abort = new AbortController()
  const ended = toolGraph(tools).invoke({ messages: [task('theazo:hang')] }, { signal: abort.signal })
  const reason = errorOf(ended)
  await expect.poll(async () => (await agent.refresh()).data.status).toBe('running')
  abort.abort(new Error('the user left'))
  expect(await reason).toMatchObject({ message: 'the user left' })
  await expect.poll(async () => (await agent.refresh()).data.status).not.toBe('running')
  expect(agent.data.task?.status).toBe('cancelled')
})

test('an abort of a task that waits for its turn leaves the running task as it is', async () => {
  const agent = await (await client.sessions.forUser('queued')).agents.create({ tools: ['run_code'] })
  const [tool] = theazoTools({ agent, only: ['run_task'] })
  const invoke = (text: string, { signal }: AbortController) =>
    tool?.invoke({ task: text }, { signal }) as Promise<unknown>
  const [first, second] = [new AbortController(), new AbortController()]
  const running = errorOf(invoke('theazo:hang', first))
  await expect.poll(async () => (await agent.refresh()).data.status).toBe('running')
  const waiting = errorOf(invoke('theazo:output=second', second))
  const third = invoke('theazo:output=third', new AbortController())
  second.abort(new Error('no longer needed'))
  expect(await waiting).toMatchObject({ message: 'no longer needed' })
  expect((await agent.refresh()).data.task).toMatchObject({ status: 'running', prompt: 'theazo:hang' })
  first.abort(new Error('the user left'))
  expect(await running).toMatchObject({ message: 'the user left' })
  expect(await third).toMatch(/^third/)
})

test('if a callback throws, the task is cancelled', async () => {
  const agent = await (await client.sessions.forUser('throwing')).agents.create({ tools: ['run_code'] })
  const [tool] = theazoTools({ agent, only: ['run_task'] })
  class Failing extends BaseCallbackHandler {
    readonly name = 'failing'
    override raiseError = true
    override awaitHandlers = true
    override handleLLMNewToken(): void {
      throw new Error('the callback failed')
    }
  }
  const call = {
    name: 'run_task',
    args: { task: 'theazo:steps=1000 theazo:delay=20' },
    id: 'call_1',
    type: 'tool_call' as const,
  }
  const ended = tool?.invoke(call, { callbacks: [new Failing()] }) as Promise<unknown>
  expect(await errorOf(ended)).toMatchObject({ message: 'the callback failed' })
  await expect.poll(async () => (await agent.refresh()).data.task?.status).toBe('cancelled')
})

test('the program examples/langchain/src/delegate.ts runs', async () => {
  await using server = await listenTheazo({ port: 0 })
  const { key } = await server.keys.create({ mode: 'test', plan: 'enterprise' })
  const program = join(root, 'examples/langchain/src/delegate.ts')
  const env = { ...process.env, THEAZO_API_KEY: key, THEAZO_BASE_URL: String(server.url) }
  const { stdout } = await promisify(execFile)(process.execPath, [program], { env })
  expect(stdout).toMatch(/^Mocked answer .* \(\d+ cents\)\n$/)
})

test('streamEvents v3 has the output of the remote agent', async () => {
  const graph = toolGraph(await taskTools())
  const run = await graph.streamEvents({ messages: [task('theazo:output=42')] }, { version: 'v3' })
  const deltas: string[] = []
  for await (const { method, params } of run) {
    const { event, delta = '' } = (params as { data: { event?: string; delta?: string } }).data
    if (method === 'tools' && event === 'tool-output-delta') deltas.push(JSON.parse(delta).type)
  }
  expect(new Set(deltas)).toEqual(new Set(['thinking', 'tool_call', 'tool_result', 'output_delta']))
})
