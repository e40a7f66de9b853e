// Version 2 of the SDK: clients of the older protocols, and what is its own. `../server.test.ts` has the suite of both.
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectV2Legacy, connectV2Modern } from '../testing/in-process.ts'
import { agentIdOf, textOf } from '../testing/test-client.ts'

let local: LocalTheazo
let theazo: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(async () => await local[Symbol.asyncDispose]())

test('a client that initializes runs code, with progress', async () => {
  await using mcp = await connectV2Legacy({ userId: 'legacy', client: theazo })
  const seen: unknown[] = []
  const input = { language: 'bash', code: 'echo fine' }
  const result = await mcp.call('run_code', input, { onprogress: (progress) => seen.push(progress) })
  expect([textOf(result), seen]).toEqual(['fine', [{ progress: 1, message: 'fine' }]])
})

test('the server asks the user of a client that initializes', async () => {
  await using mcp = await connectV2Legacy({ userId: 'legacy', client: theazo, approve: ['run_code'] }, { canAsk: true })
  const asked: string[] = []
  mcp.onQuestion((message) => {
    asked.push(message)
    return asked.length === 1 ? 'accept' : 'decline'
  })
  const input = { language: 'bash', code: 'echo ran' }
  expect(textOf(await mcp.call('run_code', input))).toBe('ran')
  expect(textOf(await mcp.call('run_code', input))).toMatch('the user declined')
  expect(asked).toEqual([expect.stringMatching(/echo ran/), expect.stringMatching(/echo ran/)])
})

test('a client that initializes sets the level of its log messages and subscribes to a sandbox', async () => {
  await using mcp = await connectV2Legacy({ userId: 'legacy', client: theazo })
  const logged: object[] = []
  mcp.onLog((params) => logged.push(params))
  const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'true' }))
  await mcp.call('run_code', { language: 'ruby', code: '' })
  await mcp.setLogLevel('emergency')
  await mcp.call('run_code', { language: 'ruby', code: '' })
  expect(logged).toMatchObject([{ level: 'warning' }])

  const uri = `theazo://agents/${agentId}`
  const updates: string[] = []
  const unsubscribe = await mcp.watch(uri, (uri) => updates.push(uri))
  const agent = await theazo.agents.get(agentId)
  await expect
    .poll(async () => {
      await agent.pause()
      await agent.resume()
      return updates
    })
    .toContain(uri)
  await unsubscribe()
})

test('if one of two listeners of a sandbox ends, the other is still told of its changes', async () => {
  await using mcp = await connectV2Modern({ userId: 'listeners', client: theazo })
  const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'true' }))
  const uri = `theazo://agents/${agentId}`
  const updates: string[] = []
  const agent = await theazo.agents.get(agentId)
  /** Changes the status until a change is reported. */
  const isTold = async () => {
    updates.length = 0
    await expect
      .poll(async () => {
        await agent.pause()
        await agent.resume()
        return updates
      })
      .toContain(uri)
  }
  const endFirst = await mcp.watch(uri, (uri) => updates.push(uri))
  const endSecond = await mcp.watch(uri, (uri) => updates.push(uri))
  await isTold()
  await endFirst()
  await mcp.bash('true') // a later answer: the server knows that the first has ended
  await isTold()
  await endSecond()
  const before = updates.length
  await agent.terminate()
  expect(textOf(await mcp.call('run_code', { language: 'bash', code: 'echo fine' }))).toMatch('fine')
  expect(updates.length).toBe(before)
})
