// Bytes that break the rules, from hosts and from code. Each ends one connection, and nothing else.
import { readdirSync } from 'node:fs'
import type { Agent } from '@theazo/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { say } from '../support/each-server.ts'
import { hostileAnswers } from './hostile-answers.ts'
import { hostileRequests } from './hostile-requests.ts'
import { proxyPids } from './proxy-pids.ts'
import { type RawAnswer, rawClients } from './raw-clients.ts'
import { canMakeWorlds, createWorld, type World, type WorldServer } from './world.ts'

let world: World
beforeAll(async () => {
  if (canMakeWorlds) world = await createWorld()
})
afterAll(async () => await world?.[Symbol.asyncDispose]())

const hostilePort = 6660
const allow = [
  'one.example.org',
  'one.example.org:22',
  ...[0, 1, 2, 3].map((n) => `one.example.org:${hostilePort + n}`),
]

describe.runIf(canMakeWorlds).each([true, false])('where the server is root: %s', (isRoot) => {
  let server: WorldServer
  let agent: Agent
  let bystander: Agent
  let pids: number[]
  beforeAll(async () => {
    server = await world.startServer(isRoot)
    agent = await server.newAgent(allow)
    bystander = await server.newAgent(['one.example.org'])
    await assertAllIsWell()
    pids = proxyPids(server.process.child.pid)
  })
  afterAll(async () => await server[Symbol.asyncDispose]())

  /** What must hold before and after everything hostile. */
  async function assertAllIsWell(): Promise<void> {
    const hello = /^hello one\.example\.org at/
    expect(await say(agent, 'bash', 'curl -sS http://one.example.org/')).toMatch(hello)
    expect(await say(bystander, 'bash', 'curl -sS http://one.example.org/')).toMatch(hello)
    expect((await fetch(server.url.replace('/v1', '/healthz'))).status).toBe(200)
  }

  function records(): Record<string, unknown>[] {
    const found = server.process.output.err.split('\n').filter((line) => line.includes('"msg":"egress"'))
    return found.map((line) => JSON.parse(line)).filter(({ agentId }) => agentId === agent.id)
  }

  describe('an allowed host', () => {
    let answers: RawAnswer[]
    let before: number
    beforeAll(async () => {
      await assertAllIsWell()
      before = records().length
      await world.act('hostile', { answers: hostileAnswers.map(({ steps }) => steps) })
      answers = await rawClients(
        agent,
        hostileAnswers.map(({ headers = '' }, number) => {
          const close = headers.includes('Connection') ? '' : 'Connection: close\r\n'
          return [`GET http://one.example.org:${hostilePort}/${number} HTTP/1.1\r\nHost: x\r\n${headers}${close}\r\n`]
        }),
      )
    }, 120_000)

    test.each(hostileAnswers.map((row, number) => ({ ...row, number })))('that sends $name', ({ gives, number }) => {
      expect(answers[number]).toMatchObject({ answer: expect.stringMatching(gives), isClosed: true })
      expect(answers[number]?.seconds).toBeLessThan(25)
    })

    test.each([
      ['resets each connection', 6661, /^HTTP\/1\.1 502 /],
      ['closes each connection', 6662, /^HTTP\/1\.1 502 /],
      ['speaks first, another protocol', 6663, /^HTTP\/1\.1 502 /],
    ])('that %s', async (_what, port, gives) => {
      const request = `GET http://one.example.org:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
      const [answer] = await rawClients(agent, [[request]])
      expect(answer).toMatchObject({ answer: expect.stringMatching(gives), isClosed: true })
    })

    test('leaves a record of each, and everything else as it was', async () => {
      await expect.poll(() => records().length - before).toBe(hostileAnswers.length + 3)
      await assertAllIsWell()
      expect(proxyPids(server.process.child.pid)).toEqual(pids)
    })
  })

  describe('code', () => {
    let answers: RawAnswer[]
    let invalidBefore: number
    beforeAll(async () => {
      await assertAllIsWell()
      invalidBefore = records().filter(({ outcome }) => outcome === 'invalid').length
      answers = await rawClients(
        agent,
        hostileRequests.map(({ steps }) => steps),
      )
    }, 120_000)

    test.each(hostileRequests.map((row, number) => ({ ...row, number })))('that sends $name', ({ gives, number }) => {
      expect(answers[number]).toMatchObject({ answer: expect.stringMatching(gives), isClosed: true })
      expect(answers[number]?.seconds).toBeLessThan(25)
    })

    test('that sends descriptors to the socket itself', async () => {
      const program = `
import array, os, socket
sock = socket.socket(socket.AF_UNIX); sock.connect('/run/theazo-egress')
rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [os.open('/dev/null', 0)] * 200))
sock.sendmsg([b'GET http://one.example.org/ HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'], [rights])
print(sock.makefile('rb').read().decode())`
      const descriptors = (): number => readdirSync(`/proc/${server.process.child.pid}/fd`).length
      const openBefore = descriptors()
      expect(await say(agent, 'python', program)).toContain('hello one.example.org')
      await expect.poll(descriptors).toBeLessThan(openBefore + 50)
    })

    test('leaves a record of each, and everything else as it was', async () => {
      const invalid = hostileRequests.filter(({ gives }) => gives.source === String.raw`^HTTP\/1\.1 400 `)
      expect(invalid.length).toBeGreaterThan(25)
      const ofInvalid = (): object[] => records().filter(({ outcome }) => outcome === 'invalid')
      await expect.poll(() => ofInvalid().length - invalidBefore).toBeGreaterThanOrEqual(invalid.length)
      await assertAllIsWell()
      expect(proxyPids(server.process.child.pid)).toEqual(pids)
    })
  })
})
