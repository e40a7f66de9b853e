import { inspect } from 'node:util'
import { BaseCallbackHandler } from '@langchain/core/callbacks/base'
import type { ToolMessage } from '@langchain/core/messages'
import { MemorySaver } from '@langchain/langgraph'
import { ConfigurationError, Theazo } from '@theazo/core'
import { SandboxPool } from '@theazo/core/pool'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bash, calling, toolGraph } from './graphs.ts'
import { clientThatFails, statusesOf } from './sandboxes.ts'
import { createTheazoNode, TheazoToolkit } from '@theazo/langchain'
import { theazoMiddleware } from '@theazo/langchain/middleware'

let local: LocalTheazo
let theazo: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(() => local[Symbol.asyncDispose]())

async function textOf(toolkit: TheazoToolkit, code: string, configurable: object = {}): Promise<string> {
  const { messages } = await toolGraph(toolkit.tools).invoke({ messages: [calling(bash(code))] }, { configurable })
  return (messages.at(-1) as ToolMessage).text
}

test('fifty threads of one graph have fifty sandboxes, which end with the toolkit', async () => {
  const session = await theazo.sessions.forUser('threads', { limits: { maxAgents: 60 } })
  {
    await using toolkit = new TheazoToolkit({
      client: theazo,
      sandbox: ({ configurable }) => ({ userId: 'threads', name: configurable?.['thread_id'] }),
    })
    const graph = toolGraph(toolkit.tools)
    const texts = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        // Two calls at once: the first creates the sandbox, the second shares it.
        const calls = [bash(`echo ${index} >> own`, 'call_1'), bash(`echo ${index} >> own`, 'call_2')]
        const config = { configurable: { thread_id: `thread_${index}` } }
        await graph.invoke({ messages: [calling(...calls)] }, config)
        const { messages } = await graph.invoke({ messages: [calling(bash('cat own'))] }, config)
        return (messages.at(-1) as ToolMessage).text
      }),
    )
    expect(texts).toEqual(Array.from({ length: 50 }, (_, index) => `${index}\n${index}`))
    expect(await statusesOf(session)).toEqual(Array.from({ length: 50 }, () => 'idle'))
  }
  expect(new Set(await statusesOf(session))).toEqual(new Set(['terminated']))
}, 240_000)

test('a string is the id of a user, whose session pays', async () => {
  await using toolkit = new TheazoToolkit({ client: theazo, sandbox: ({ configurable }) => configurable?.['user'] })
  expect(await textOf(toolkit, 'echo $HOME', { user: 'ann' })).toBe('/home/agent')
  const sessions = await theazo.sessions.list({ userId: 'ann' }).page()
  expect(sessions.data).toHaveLength(1)
  expect(await textOf(toolkit, 'echo mine > own')).toContain('must be a string that is not empty, not undefined')
})

test('a run without a key is refused and creates nothing', async () => {
  await using toolkit = new TheazoToolkit({ client: theazo, sandbox: ({ configurable }) => configurable?.['nobody'] })
  const [tool] = toolkit.tools
  await expect(tool?.invoke({ ...bash('echo 1'), type: 'tool_call' })).rejects.toThrow(ConfigurationError)
  await expect(toolkit.sandbox()).rejects.toThrow('the key that sandbox returns must be a string that is not empty')
})

test('with onDispose pause, another toolkit continues with the same files', async () => {
  const options = { client: theazo, userId: 'pausing', onDispose: 'pause' } as const
  const first = new TheazoToolkit(options)
  await textOf(first, 'echo kept > note')
  await first.dispose()
  const session = await theazo.sessions.forUser('pausing')
  expect(await statusesOf(session)).toEqual(['paused'])
  await using second = new TheazoToolkit(options)
  expect(await textOf(second, 'cat note')).toBe('kept')
})

test('a sandbox of the caller is never ended: an agent, and that of a pool', async () => {
  const session = await theazo.sessions.forUser('owned')
  const agent = await session.agents.create()
  await using pool = new SandboxPool(theazo)
  for (const options of [{ agent }, { client: theazo, userId: 'owned', pool }]) {
    await using toolkit = new TheazoToolkit(options)
    await textOf(toolkit, 'echo 1')
  }
  expect(await statusesOf(session)).toEqual(['idle', 'idle'])
  expect(() => new TheazoToolkit({ agent, onDispose: 'terminate' })).toThrow('onDispose is not valid with agent')
})

test('files that the application writes into the sandbox are there for the model', async () => {
  await using toolkit = new TheazoToolkit({ client: theazo, userId: 'files' })
  const sandbox = await toolkit.sandbox()
  await sandbox.files.write('data.csv', 'a,b\n1,2\n')
  expect(await textOf(toolkit, 'head -1 data.csv')).toBe('a,b')
})

test('if a sandbox cannot be ended, dispose rejects, and a second one tries again', async () => {
  let isBroken = true
  const client = clientThatFails(local, '/terminate', () => isBroken)
  const toolkit = new TheazoToolkit({ client, userId: 'stubborn' })
  await textOf(toolkit, 'echo 1')
  await expect(toolkit.dispose()).rejects.toThrow('1 sandboxes could not be released')
  isBroken = false
  await toolkit.dispose()
  expect(await statusesOf(await theazo.sessions.forUser('stubborn'))).toEqual(['terminated'])
})

test('with a pool, the session that pays is that of the key', async () => {
  await using pool = new SandboxPool(theazo, { userIdOf: (key) => key.split('/')[0] ?? '' })
  await using toolkit = new TheazoToolkit({ client: theazo, pool, sandbox: () => 'payer/thread_1', groups: 'all' })
  const tool = toolkit.tools.find(({ name }) => name === 'list_agents')
  await textOf(toolkit, 'echo 1')
  expect(await tool?.invoke({})).toMatch(/^agt_\w+/)
})

test('an asynchronous sandbox function is refused, and its error is no unhandled rejection', async () => {
  const sandbox = (() => Promise.reject(new Error('no user'))) as never
  await using toolkit = new TheazoToolkit({ client: theazo, sandbox })
  await expect(toolkit.sandbox()).rejects.toThrow('sandbox must return a key, not a promise')
})

test('a disposed toolkit refuses calls', async () => {
  const toolkit = new TheazoToolkit({ client: theazo, userId: 'disposed' })
  await toolkit.dispose()
  expect(await textOf(toolkit, 'echo 1')).toContain('These tools are disposed')
})

test.each([
  [{ prefix: 'a b' }, 'prefix must have at most 40 characters'],
  [{ sandbox: 'thread' as never, userId: undefined }, 'sandbox must be a function'],
  [{ sandbox: () => 'a' }, 'not userId and sandbox'],
])('%j is refused', (options, message) => {
  expect(() => new TheazoToolkit({ client: theazo, userId: 'a', ...options })).toThrow(message)
})

test('the API key is in no printed object, trace or checkpoint', async () => {
  await using toolkit = new TheazoToolkit({ client: theazo, userId: 'secrets', groups: 'all' })
  const middleware = theazoMiddleware({ client: theazo, userId: 'secrets' })
  const seen: unknown[] = [toolkit, toolkit.tools, middleware, createTheazoNode({ client: theazo, userId: 'secrets' })]
  const checkpointer = new MemorySaver()
  const handler = BaseCallbackHandler.fromMethods({
    handleChainStart: (...args) => void seen.push(args),
    handleToolStart: (...args) => void seen.push(args),
    handleToolEvent: (...args) => void seen.push(args),
    handleToolEnd: (...args) => void seen.push(args),
  })
  const config = { configurable: { thread_id: '1' }, callbacks: [handler] }
  const graph = toolGraph(toolkit.tools, { checkpointer })
  // The control: what the code prints is seen.
  await graph.invoke({ messages: [calling(bash('echo visible-text; env'))] }, config)
  for await (const checkpoint of checkpointer.list({ configurable: { thread_id: '1' } })) seen.push(checkpoint)
  const text = inspect(seen, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null })
  expect(text).toContain('visible-text')
  expect(text + JSON.stringify(seen)).not.toContain(local.apiKey)
})
