import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { MemorySaver } from '@langchain/langgraph'
import { type Session, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { createAgent } from 'langchain'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ServerTestClock } from '../../support/clock.ts'
import { bash, calling } from './graphs.ts'
import { theazoMiddleware } from '@theazo/langchain/middleware'

let local: LocalTheazo
let client: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  client = new Theazo(local)
})
afterAll(() => local[Symbol.asyncDispose]())

async function statusesOf(session: Session): Promise<string[]> {
  return (await session.agents.list().page()).data.map(({ data }) => data.status)
}

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
