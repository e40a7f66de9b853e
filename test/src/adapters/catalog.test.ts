// A scripted model calls every tool of the catalog by name, through each adapter.
import { theazoTools as aiSdkTools, type RunCodeOutput } from '@theazo/ai-sdk'
import { Theazo } from '@theazo/core'
import { toolGroups, toolSource } from '@theazo/core/tools'
import { theazoTools as langChainTools } from '@theazo/langchain'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drivers } from './drivers.ts'
import { sandboxCalls, taskCalls } from './scripted-calls.ts'

let local: LocalTheazo
let live: Theazo
let mocked: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  live = new Theazo(local)
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  mocked = new Theazo({ ...local, apiKey })
})
afterAll(() => local[Symbol.asyncDispose]())

const names = Object.values(toolGroups).flatMap((tools) => tools.map(({ name }) => name))

test('the scripted calls use every tool', () => {
  expect(new Set([...sandboxCalls, ...taskCalls].map(({ tool }) => tool))).toEqual(new Set(names))
})

describe.each(Object.entries(drivers))('%s', (adapter, drive) => {
  test('each sandbox tool works on a real sandbox', async () => {
    const texts = await drive(live, `sandbox of ${adapter}`, sandboxCalls)
    expect(texts).toEqual(sandboxCalls.map(({ text }) => expect.stringMatching(text)))
  })

  test('each task tool works', async () => {
    const texts = await drive(mocked, `tasks of ${adapter}`, taskCalls)
    expect(texts).toEqual(taskCalls.map(({ text }) => expect.stringMatching(text)))
  })

  test('an invalid input returns the field and its accepted values, and creates nothing', async () => {
    const userId = `wrong input of ${adapter}`
    const calls = [
      {
        tool: 'edit_file',
        input: () => ({ path: 'a', oldText: '', newText: 'b' }),
        text: /oldText must be text of at least 1 character/,
      },
      { tool: 'run_code', input: () => ({ language: 'ruby', code: '1' }), text: /language must be 'python' or/ },
      { tool: 'write_file', input: () => ({ content: 'x' }), text: /path is missing/ },
    ]
    const texts = await drive(live, userId, calls)
    expect(texts).toEqual(calls.map(({ text }) => expect.stringMatching(text)))
    const sessions = await live.sessions.list({ userId }).page()
    expect(sessions.data).toEqual([])
  })

  test('an error is returned with advice', async () => {
    const userId = `faults of ${adapter}`
    const session = await live.sessions.forUser(userId, { limits: { maxAgents: 0 } })
    const [text] = await drive(live, userId, [
      { tool: 'run_code', input: () => ({ language: 'bash', code: '1' }), text: /./ },
    ])
    expect(text).toContain('A limit set by the owner is reached. Stop using this tool and tell the user.')
    await session.terminate()
  })
})

describe('one sandbox per user', () => {
  test('is shared by all tool sets of a client, whatever the adapter, and has an idle timeout', async () => {
    const userId = 'shared'
    const code = { language: 'bash', code: 'echo $RANDOM >> log; wc -l < log' }
    const [tool] = langChainTools({ client: live, userId, only: ['run_code'] })
    const texts = [await tool?.invoke(code)]
    for (let request = 0; request < 2; request += 1) {
      const { run_code: run } = aiSdkTools({ client: live, userId })
      const options = { toolCallId: '1', messages: [], context: {} }
      const results = await run.execute?.({ language: 'bash', code: code.code }, options)
      let last: unknown
      for await (const { stdout } of results as AsyncIterable<RunCodeOutput>) last = stdout
      texts.push(last)
    }
    expect(texts).toEqual([expect.stringMatching(/^1\n/), '2\n', '3\n'])
    const session = await live.sessions.forUser(userId)
    const [agent, ...others] = (await session.agents.list().page()).data
    expect(others).toEqual([])
    expect(agent?.data.idleTimeout).toEqual({ seconds: 1800, action: 'terminate' })
  })

  test('concurrent first calls create one sandbox, and another client finds it', async () => {
    const texts = await Promise.all(
      [live, live, new Theazo(local), new Theazo(local)].map(async (client, index) => {
        const [tool] = langChainTools({ client, userId: 'racing', only: ['run_code'] })
        return await tool?.invoke({ language: 'bash', code: `echo ${index} >> log` })
      }),
    )
    expect(texts).toHaveLength(4)
    const [agent, ...others] = (await (await live.sessions.forUser('racing')).agents.list().page()).data
    expect(others).toEqual([])
    expect((await agent?.files.readText('log'))?.split('\n').toSorted()).toEqual(['', '0', '1', '2', '3'])
  })

  test('a session has the same sandbox as its user', async () => {
    const session = await live.sessions.forUser('either')
    const [ofSession] = langChainTools({ session, only: ['get_agent'] })
    const [ofUser] = langChainTools({ client: live, userId: 'either', only: ['get_agent'] })
    expect(await ofSession?.invoke({})).toBe(await ofUser?.invoke({}))
  })
})

describe('options', () => {
  test.each([
    [{}, 'not none'],
    [{ userId: 'a', agent: { id: 'x', exec: () => expect.fail() } }, 'not agent and userId'],
    [{ userId: '' }, 'userId must be a string that is not empty'],
    [{ agent: 'agt_1' as never }, 'agent must be an agent, or a function that returns one, not String'],
    [{ agent: Promise.resolve() as never }, 'Await a promise'],
  ])('%j are refused: %s', (options, message) => {
    expect(() => toolSource({ client: live, ...options })).toThrow(message)
    expect(() => langChainTools({ client: live, ...options })).toThrow(message)
    expect(() => aiSdkTools({ client: live, ...options })).toThrow(message)
  })

  test('a name instead of a list is refused', () => {
    const source = { client: live, userId: 'any' }
    expect(() => langChainTools({ ...source, groups: 'files' as 'all' })).toThrow(
      "groups must be a list of names or 'all'",
    )
    expect(() => langChainTools({ ...source, only: 'run_code' as never })).toThrow('only must be a list of names')
  })

  test('groups, only and readOnly choose the same tools in both frameworks', () => {
    const source = { client: live, userId: 'any' }
    const choices = [
      {},
      { groups: 'all' },
      { groups: ['files'], readOnly: true },
      { only: ['get_usage', 'run_code'] },
    ] as const
    const chosen = choices.map((choice) => Object.keys(aiSdkTools({ ...source, ...choice })))
    expect(choices.map((choice) => langChainTools({ ...source, ...choice }).map(({ name }) => name))).toEqual(chosen)
    expect(chosen.map(({ length }) => length)).toEqual([6, 17, 2, 2])
  })
})
