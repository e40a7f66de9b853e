// An abort in each phase of a call: it leaves no process in the sandbox, and the sandbox works afterwards.
import { AIMessage, HumanMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { MemorySaver, MessagesAnnotation, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { type Agent, Theazo } from '@theazo/core'
import { theazoTools, repairToolCalls } from '@theazo/langchain'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { createAgent } from 'langchain'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { errorOf } from '../../support/error-of.ts'
import { bash, calling, toolGraph } from './graphs.ts'

let server: ListeningTheazo
let theazo: Theazo
let agent: Agent
const unhandled: unknown[] = []
const listener = (reason: unknown): void => void unhandled.push(reason)
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  theazo = new Theazo({ baseUrl: String(server.url), apiKey: server.apiKey })
  process.on('unhandledRejection', listener)
})
beforeEach(async () => {
  agent = await (await theazo.sessions.forUser('aborts', { limits: { maxAgents: 50 } })).agents.create()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  process.off('unhandledRejection', listener)
  expect(unhandled).toEqual([])
})

const reason = new Error('the user left')
/** Writes its process id, then runs until it is killed. */
const endless = 'echo $$ > alive; while :; do sleep 0.05; done'

/** Resolves when the code runs. */
async function started(): Promise<void> {
  await agent.exec('bash', 'until [[ -s alive ]]; do sleep 0.02; done')
}

/** Fails if the code is alive. It waits at most a second, as the code dies shortly after the abort. */
async function expectDead(): Promise<void> {
  const { stdout } = await agent.exec(
    'bash',
    'for _ in {1..50}; do kill -0 $(cat alive) 2>/dev/null || { echo dead; exit; }; sleep 0.02; done; echo alive',
  )
  expect(stdout).toBe('dead\n')
}

const graph = () => toolGraph(theazoTools({ agent }))

test('the control: without an abort the code is alive', async () => {
  const abort = new AbortController()
  const ended = errorOf(agent.exec('bash', endless, { signal: abort.signal }))
  await started()
  const { stdout } = await agent.exec('bash', 'kill -0 $(cat alive) && echo alive')
  expect(stdout).toBe('alive\n')
  abort.abort(reason)
  expect(await ended).toBe(reason)
})

test('before the call: nothing runs', async () => {
  const invoked = graph().invoke({ messages: [calling(bash('touch ran'))] }, { signal: AbortSignal.abort(reason) })
  expect(await errorOf(invoked)).toBe(reason)
  const [tool] = theazoTools({ agent })
  const direct = tool?.invoke({ ...bash('touch ran'), type: 'tool_call' }, { signal: AbortSignal.abort(reason) })
  expect(await errorOf(direct as Promise<unknown>)).toBe(reason)
  expect((await agent.exec('bash', 'ls')).stdout).toBe('')
})

test('while the sandbox is created: the call ends at once, and the next one finds the sandbox', async () => {
  const abort = new AbortController()
  const tools = theazoTools({ client: theazo, userId: 'creating' })
  const invoked = toolGraph(tools).invoke({ messages: [calling(bash('touch ran'))] }, { signal: abort.signal })
  const ended = errorOf(invoked)
  abort.abort(reason)
  expect(await ended).toBe(reason)
  expect(await tools[0]?.invoke({ language: 'bash', code: 'ls' })).toBe('(no output)')
  const session = await theazo.sessions.forUser('creating')
  expect((await session.agents.list().page()).data).toHaveLength(1)
})

test('while the code runs: it is dead, and so are its siblings', async () => {
  const abort = new AbortController()
  const calls = [bash(endless, 'call_1'), bash('sleep 100', 'call_2')]
  const ended = errorOf(graph().invoke({ messages: [calling(...calls)] }, { signal: abort.signal }))
  await started()
  abort.abort(reason)
  expect(await ended).toBe(reason)
  await expectDead()
  // The shell of this exec is the only one.
  const count = 'for _ in {1..50}; do [[ $(pgrep -xc sleep) == 0 ]] && break; sleep 0.05; done; pgrep -xc sleep'
  expect((await agent.exec('bash', count)).stdout).toBe('0\n')
})

test('while output streams: the code is dead after its reader has left', async () => {
  const stream = await graph().stream({ messages: [calling(bash(`echo first; ${endless}`))] }, { streamMode: 'custom' })
  for await (const chunk of stream as AsyncIterable<{ event: { text: string } }>) {
    expect(chunk.event.text).toBe('first\n')
    break
  }
  await started()
  await expectDead()
})

test('while a slow reader does not read: the code is dead', async () => {
  const abort = new AbortController()
  const code = `echo $$ > alive; yes | head -c 20000000; ${endless}`
  const stream = await graph().stream(
    { messages: [calling(bash(code))] },
    { streamMode: 'custom', signal: abort.signal },
  )
  const iterator = stream[Symbol.asyncIterator]()
  await iterator.next()
  abort.abort(reason)
  await started()
  await expectDead()
  expect(await errorOf(drain(iterator))).toBe(reason)
})

async function drain(iterator: AsyncIterator<unknown>): Promise<void> {
  while (!(await iterator.next()).done);
}

test('after the call: the abort changes nothing', async () => {
  const abort = new AbortController()
  const { messages } = await graph().invoke({ messages: [calling(bash('echo done'))] }, { signal: abort.signal })
  abort.abort(reason)
  expect(messages.at(-1)?.text).toBe('done')
})

test('at the timeout of a node: the code is dead', async () => {
  const node = new StateGraph(MessagesAnnotation)
    .addNode('tools', new ToolNode(theazoTools({ agent })), { timeout: { runTimeout: 5000 } })
    .addEdge('__start__', 'tools')
    .compile()
  const ended = errorOf(node.invoke({ messages: [calling(bash(endless))] }))
  await started()
  expect(await ended).toMatchObject({ name: expect.stringMatching(/Timeout/) })
  await expectDead()
})

test('output restarts the idle timeout of a node', async () => {
  const node = new StateGraph(MessagesAnnotation)
    .addNode('tools', new ToolNode(theazoTools({ agent })), { timeout: { idleTimeout: 4000 } })
    .addEdge('__start__', 'tools')
    .compile()
  const code = 'for i in {1..10}; do echo $i; sleep 0.5; done'
  const { messages } = await node.invoke({ messages: [calling(bash(code))] })
  expect(messages.at(-1)?.text).toMatch(/10$/)
})

test('with createAgent: the next message of the user continues the conversation', async () => {
  const abort = new AbortController()
  const model = fakeModel()
    .respondWithTools([bash(endless)])
    .respond(new AIMessage('done'))
  const assistant = createAgent({ model, tools: theazoTools({ agent }), checkpointer: new MemorySaver() })
  const config = { configurable: { thread_id: '1' } }
  const invoked = assistant.invoke({ messages: [new HumanMessage('go')] }, { ...config, signal: abort.signal })
  const ended = errorOf(invoked)
  await started()
  abort.abort(reason)
  expect(await ended).toBe(reason)
  await expectDead()
  const { values } = await assistant.graph.getState(config)
  expect(repairToolCalls(values.messages).map(({ type }) => type)).toEqual(['human', 'ai', 'tool'])
})

test('no aborted call is left at the server', async () => {
  const gauges = async (): Promise<string[]> => {
    const text = await (await fetch(new URL('/metrics', server.url))).text()
    return text.match(/^theazo_(?:execs|streams)\w* \d+$/gm) ?? []
  }
  expect(await gauges()).not.toEqual([])
  await expect.poll(async () => (await gauges()).filter((gauge) => !gauge.endsWith(' 0'))).toEqual([])
})
