// The client on a server that implements the reference without extensions.
import { type Agent, type Feature, type Session, Theazo } from '@theazo/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { type FaultServer, startFaultServer } from './fault-server.ts'

let server: FaultServer
let theazo: Theazo
let session: Session
let agent: Agent
beforeAll(async () => {
  server = await startFaultServer({ features: undefined })
  theazo = new Theazo(server.options)
  session = await theazo.sessions.forUser('bare')
  agent = await session.agents.create()
})
afterAll(() => server[Symbol.asyncDispose]())

/** Method and path of the requests that are sent while the work runs. */
async function sentBy(work: () => Promise<unknown>): Promise<string[]> {
  const from = server.requests.length
  await work()
  return server.requests.slice(from).map(({ method, path }) => `${method} ${path}`)
}

describe('without its extension a call is refused, and nothing is sent', () => {
  test.for<[string, Feature, (subject: { session: Session; theazo: Theazo; agent: Agent }) => Promise<unknown>]>([
    ['an agent with a name', 'agents', ({ session }) => session.agents.create({ name: 'x' })],
    ['an agent with metadata', 'agents', ({ session }) => session.agents.create({ metadata: { a: 1 } })],
    ['standard input', 'exec-stdin', ({ agent }) => agent.exec('bash', 'cat', { stdin: 'x' })],
    ['empty standard input', 'exec-stdin', ({ agent }) => agent.exec('bash', 'cat', { stdin: '' })],
    ['bytes as input', 'exec-stdin', ({ agent }) => agent.exec('bash', 'cat', { stdin: Uint8Array.of(1) })],
    ['a stream with input', 'exec-stdin', ({ agent }) => agent.execStream('bash', 'cat', { stdin: 'x' }).next()],
    ['an environment', 'exec-options', ({ agent }) => agent.exec('bash', 'true', { env: { A: '1' } })],
    ['a working folder', 'exec-options', ({ agent }) => agent.exec('bash', 'true', { cwd: '/' })],
    ['sessions of a user', 'sessions', ({ theazo }) => theazo.sessions.list({ userId: 'x' }).page()],
    ['sessions of an empty user', 'sessions', ({ theazo }) => theazo.sessions.list({ userId: '' }).page()],
    ['sessions of a status', 'sessions', ({ theazo }) => collect(theazo.sessions.list({ status: 'active' }))],
    ['usage of a session', 'sessions', ({ theazo }) => theazo.usage.summary({ sessionId: 'ses_1' })],
    ['usage of a user', 'sessions', ({ theazo }) => theazo.usage.summary({ userId: 'x' })],
    ['usage of an empty user', 'sessions', ({ theazo }) => theazo.usage.summary({ userId: '' })],
    ['usage of a key', 'sessions', ({ theazo }) => theazo.usage.summary({ keyId: 'x' })],
  ])('%s', async ([, feature, call]) => {
    const sent = await sentBy(async () => {
      const refused = { name: 'NotSupportedError', code: 'not_supported', details: { feature } }
      await expect(call({ session, theazo, agent })).rejects.toMatchObject(refused)
    })
    expect(sent).toEqual([])
  })

  test.for<[string, Feature, (subject: { session: Session; agent: Agent }) => Promise<unknown>]>([
    ['changing a session', 'sessions', ({ session }) => session.update({ metadata: {} })],
    ['ending a session', 'sessions', ({ session }) => session.terminate()],
    ['agents of a session', 'sessions', ({ session }) => session.agents.list().page()],
    ['a task', 'tasks', ({ agent }) => agent.tasks.get('task_1')],
    ['cancelling a task', 'tasks', ({ agent }) => agent.tasks.cancel('task_1')],
  ])('a missing route is distinguished from an unknown id: %s', async ([, feature, call]) => {
    await expect(call({ session, agent })).rejects.toMatchObject({
      name: 'NotSupportedError',
      details: { feature },
    })
  })
})
