import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { MemorySaver } from '@langchain/langgraph'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { createAgent } from 'langchain'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ServerTestClock } from '../../support/clock.ts'
import { bash, calling, type ScriptedCall } from './graphs.ts'
import { clientThatFails, statusesOf } from './sandboxes.ts'
import { theazoMiddleware } from '@theazo/langchain/middleware'

let local: LocalTheazo
let client: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  client = new Theazo(local)
})
afterAll(() => local[Symbol.asyncDispose]())

const go = { messages: [new HumanMessage('go')] }

test('brings the tools and a paragraph that names them; the own system prompt comes first', async () => {
  const model = fakeModel()
    .respondWithTools([bash('echo hi')])
    .respond(new AIMessage('done'))
  const assistant = createAgent({
    model,
    systemPrompt: 'Be brief.',
    middleware: [theazoMiddleware({ client, userId: 'prompt', only: ['run_code'], prefix: 'pc_' })],
  })
  model.calls.length = 0
  const { messages } = await assistant.invoke(go)
  expect(messages.filter(ToolMessage.isInstance)).toHaveLength(1)
  const [system] = model.calls[0]?.messages ?? []
  expect(SystemMessage.isInstance(system) && system.text).toMatch(
    /^Be brief\.\n\nYou have a Linux computer .* pc_run_code\./,
  )
})

test('after an abort, the next call of the model has a complete history', async () => {
  const abort = new AbortController()
  const model = fakeModel()
    .respondWithTools([bash('touch alive; sleep 60')])
    .respond(new AIMessage('done'))
  const assistant = createAgent({
    model,
    middleware: [theazoMiddleware({ client, userId: 'repair' })],
    checkpointer: new MemorySaver(),
  })
  const config = { configurable: { thread_id: '1' } }
  const ended = assistant.invoke(go, { ...config, signal: abort.signal }).catch((error: unknown) => error)
  const session = await client.sessions.forUser('repair')
  await expect.poll(async () => (await statusesOf(session))[0]).toBe('idle')
  const [agent] = (await session.agents.list().page()).data
  await agent?.exec('bash', 'until [[ -e alive ]]; do sleep 0.02; done')
  abort.abort(new Error('the user left'))
  expect(await ended).toMatchObject({ message: 'the user left' })
  await assistant.invoke({ messages: [new HumanMessage('go on')] }, config)
  expect(model.calls.at(-1)?.messages.map(({ type }) => type)).toEqual(['system', 'human', 'ai', 'tool', 'human'])
})

describe('a spending limit', () => {
  test('ends the run with a message before the next call of the model; the next run has the full limit', async () => {
    const clock = new ServerTestClock()
    await using billed = await createLocalTheazo({ clock })
    const model = fakeModel()
    for (const id of ['1', '2', '3']) {
      model.respond(() => {
        clock.jump(6 * 60_000) // a sandbox costs 5 cents a minute
        return calling(bash('echo 1', id))
      })
    }
    model.respond(new AIMessage('done'))
    const middleware = theazoMiddleware({ client: new Theazo(billed), userId: 'spender', maxCostCents: 50 })
    const assistant = createAgent({ model, middleware: [middleware] })
    const { messages } = await assistant.invoke(go)
    expect(messages.filter(ToolMessage.isInstance)).toHaveLength(3)
    expect(messages.at(-1)?.text).toMatch(
      /^I stopped: the sandbox has cost \$0\.60 in this run, and its limit is \$0\.50\./,
    )
    const next = await assistant.invoke(go)
    expect(next.messages.at(-1)?.text).toBe('done')
  })

  test('does not end a run that stays below it', async () => {
    const model = fakeModel()
      .respondWithTools([bash('echo 1')])
      .respond(new AIMessage('done'))
    const middleware = [theazoMiddleware({ client, userId: 'saver', maxCostCents: 1000 })]
    const { messages } = await createAgent({ model, middleware }).invoke(go)
    expect(messages.at(-1)?.text).toBe('done')
  })
})

test.each([
  ['keep', 'idle'],
  ['pause', 'paused'],
  ['terminate', 'terminated'],
] as const)('with onEnd %s the sandbox is %s after the run', async (onEnd, status) => {
  const userId = `after ${onEnd}`
  const model = fakeModel()
    .respondWithTools([bash('echo 1')])
    .respond(new AIMessage('done'))
  const middleware = [theazoMiddleware({ client, userId, onEnd })]
  await createAgent({ model, middleware }).invoke(go)
  expect(await statusesOf(await client.sessions.forUser(userId))).toEqual([status])
})

/** An agent whose model makes these calls and then answers. */
function agentOf(middleware: ReturnType<typeof theazoMiddleware>, ...calls: ScriptedCall[]) {
  const model = calls.reduce((model, call) => model.respondWithTools([call]), fakeModel())
  return createAgent({ model: model.respond(new AIMessage('done')), middleware: [middleware] })
}

test('at the spending limit the sandbox ends as onEnd specifies', async () => {
  const clock = new ServerTestClock()
  await using billed = await createLocalTheazo({ clock })
  const client = new Theazo(billed)
  const model = fakeModel()
    .respondWithTools([bash('echo 1')])
    .respond(() => {
      clock.jump(6 * 60_000)
      return calling(bash('echo 2', 'call_2'))
    })
  const middleware = [theazoMiddleware({ client, userId: 'limited', maxCostCents: 10, onEnd: 'terminate' })]
  const { messages } = await createAgent({ model, middleware }).invoke(go)
  expect(messages.at(-1)?.text).toMatch(/^I stopped/)
  expect(await statusesOf(await client.sessions.forUser('limited'))).toEqual(['terminated'])
})

test('a spending limit works with an agent of the caller', async () => {
  const agent = await (await client.sessions.forUser('own agent')).agents.create()
  const { messages } = await agentOf(theazoMiddleware({ agent, maxCostCents: 100 }), bash('echo 1')).invoke(go)
  expect(messages.at(-1)?.text).toBe('done')
})

test('if the server does not say what the sandbox costs, the run ends with a message', async () => {
  const middleware = theazoMiddleware({
    client: clientThatFails(local, '/usage/'),
    userId: 'unknown',
    maxCostCents: 100,
  })
  const { messages } = await agentOf(middleware, bash('echo 1')).invoke(go)
  expect(messages.at(-1)?.text).toMatch(/^I stopped: .* does not say/)
})

test('if the sandbox cannot be ended, the answer remains', async () => {
  const middleware = theazoMiddleware({
    client: clientThatFails(local, '/terminate'),
    userId: 'stuck',
    onEnd: 'terminate',
  })
  const { messages } = await agentOf(middleware, bash('echo 1')).invoke(go)
  expect(messages.at(-1)?.text).toBe('done')
})

test('onEnd does not end a sandbox in which another run has a call', async () => {
  const options = { client, userId: 'busy', onEnd: 'terminate' } as const
  const slow = agentOf(theazoMiddleware(options), bash('touch alive; until [[ -e go ]]; do sleep 0.02; done; echo ok'))
  const ended = slow.invoke(go)
  const session = await client.sessions.forUser('busy')
  await expect.poll(() => statusesOf(session)).toEqual(['idle'])
  const [agent] = (await session.agents.list().page()).data
  await agent?.exec('bash', 'until [[ -e alive ]]; do sleep 0.02; done')
  await agentOf(theazoMiddleware(options), bash('echo 1')).invoke(go)
  expect(await statusesOf(session)).toEqual(['idle'])
  await agent?.exec('bash', 'touch go')
  const { messages } = await ended
  expect(messages.find((message) => ToolMessage.isInstance(message))?.text).toMatch(/^ok/)
  expect(await statusesOf(session)).toEqual(['terminated'])
})

test('onEnd creates no sandbox after the model has terminated its own', async () => {
  const middleware = theazoMiddleware({ client, userId: 'gone', groups: 'all', onEnd: 'pause' })
  await agentOf(middleware, bash('echo 1'), { name: 'terminate_agent', args: {}, id: 'call_2' }).invoke(go)
  expect(await statusesOf(await client.sessions.forUser('gone'))).toEqual(['terminated'])
})

test('the key of the sandbox may come from the context of the run', async () => {
  const sandbox = (config: object) => (config as { context?: { user: string } }).context?.user ?? ''
  const model = fakeModel()
    .respondWithTools([bash('echo 1')])
    .respond(new AIMessage('done'))
  const assistant = createAgent({
    model,
    middleware: [theazoMiddleware({ client, sandbox, maxCostCents: 100, onEnd: 'terminate' })],
    contextSchema: z.object({ user: z.string() }),
  })
  await assistant.invoke(go, { context: { user: 'of the context' } })
  expect(await statusesOf(await client.sessions.forUser('of the context'))).toEqual(['terminated'])
})

test('a run that used no tool creates no sandbox', async () => {
  const model = fakeModel().respond(new AIMessage('done'))
  const middleware = [theazoMiddleware({ client, userId: 'unused', onEnd: 'terminate' })]
  await createAgent({ model, middleware }).invoke(go)
  expect((await client.sessions.list({ userId: 'unused' }).page()).data).toEqual([])
})

test('invalid options are refused', async () => {
  const agent = await (await client.sessions.forUser('options')).agents.create()
  expect(() => theazoMiddleware({ agent, onEnd: 'terminate' })).toThrow('onEnd is not valid with agent')
  expect(() => theazoMiddleware({ agent, onEnd: 'stop' as never })).toThrow(
    "onEnd must be 'keep', 'pause' or 'terminate'",
  )
  expect(() => theazoMiddleware({ agent, maxCostCents: 0 })).toThrow('maxCostCents must be a number of cents above 0')
})
