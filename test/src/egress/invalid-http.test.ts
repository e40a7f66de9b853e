// Invalid HTTP against the egress proxy, from hosts and from code. Each case ends one connection and affects nothing
// else.
import { readdirSync } from 'node:fs'
import type { Agent } from '@theazo/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outputOf } from '../support/each-server.ts'
import { invalidResponses } from './invalid-http-responses.ts'
import { invalidRequests } from './invalid-http-requests.ts'
import { proxyPids } from './proxy-pids.ts'
import { type RawAnswer, rawClients } from './raw-clients.ts'
import { canCreateTestInternet, type TestInternet, withTestInternet, type TestInternetServer } from './test-internet.ts'

let internet: TestInternet
withTestInternet((opened) => void (internet = opened))

const invalidHttpPort = 6660
const allow = [
  'one.example.org',
  'one.example.org:22',
  ...[0, 1, 2, 3].map((n) => `one.example.org:${invalidHttpPort + n}`),
]

describe.runIf(canCreateTestInternet).each([true, false])('the egress proxy, with a root server: %s', (isRoot) => {
  let server: TestInternetServer
  let agent: Agent
  let bystander: Agent
  let pids: number[]
  beforeAll(async () => {
    server = await internet.startServer(isRoot)
    agent = await server.newAgent(allow)
    bystander = await server.newAgent(['one.example.org'])
    await assertAllIsWell()
    pids = proxyPids(server.process.child.pid)
  })
  afterAll(async () => await server[Symbol.asyncDispose]())

  /** Checks that agents have network access and the server answers; true before and after the invalid bytes. */
  async function assertAllIsWell(): Promise<void> {
    const hello = /^hello one\.example\.org at/
    expect(await outputOf(agent, 'bash', 'curl -sS http://one.example.org/')).toMatch(hello)
    expect(await outputOf(bystander, 'bash', 'curl -sS http://one.example.org/')).toMatch(hello)
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
      await internet.act('hostile', { answers: invalidResponses.map(({ steps }) => steps) })
      answers = await rawClients(
        agent,
        invalidResponses.map(({ headers = '' }, number) => {
          const close = headers.includes('Connection') ? '' : 'Connection: close\r\n'
          return [
            `GET http://one.example.org:${invalidHttpPort}/${number} HTTP/1.1\r\nHost: x\r\n${headers}${close}\r\n`,
          ]
        }),
      )
    }, 120_000)

    test.each(invalidResponses.map((row, number) => ({ ...row, number })))(
      'which sends $name',
      ({ expected, number }) => {
        expect(answers[number]).toMatchObject({ answer: expect.stringMatching(expected), isClosed: true })
        expect(answers[number]?.seconds).toBeLessThan(25)
      },
    )

    test.each([
      ['resets each connection', 6661, /^HTTP\/1\.1 502 /],
      ['closes each connection', 6662, /^HTTP\/1\.1 502 /],
      ['sends another protocol first', 6663, /^HTTP\/1\.1 502 /],
    ])('which %s', async (_what, port, expected) => {
      const request = `GET http://one.example.org:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
      const [answer] = await rawClients(agent, [[request]])
      expect(answer).toMatchObject({ answer: expect.stringMatching(expected), isClosed: true })
    })

    test('is logged once per case, and nothing else changes', async () => {
      await expect.poll(() => records().length - before).toBe(invalidResponses.length + 3)
      await assertAllIsWell()
      expect(proxyPids(server.process.child.pid)).toEqual(pids)
    })
  })

  describe('code in the sandbox', () => {
    let answers: RawAnswer[]
    let invalidBefore: number
    beforeAll(async () => {
      await assertAllIsWell()
      invalidBefore = records().filter(({ outcome }) => outcome === 'invalid').length
      answers = await rawClients(
        agent,
        invalidRequests.map(({ steps }) => steps),
      )
    }, 120_000)

    test.each(invalidRequests.map((row, number) => ({ ...row, number })))(
      'which sends $name',
      ({ expected, number }) => {
        expect(answers[number]).toMatchObject({ answer: expect.stringMatching(expected), isClosed: true })
        expect(answers[number]?.seconds).toBeLessThan(25)
      },
    )

    test('which sends file descriptors to the socket of the proxy leaks none into the server', async () => {
      const program = `
import array, os, socket
sock = socket.socket(socket.AF_UNIX); sock.connect('/run/theazo-egress')
rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [os.open('/dev/null', 0)] * 200))
sock.sendmsg([b'GET http://one.example.org/ HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'], [rights])
print(sock.makefile('rb').read().decode())`
      const descriptors = (): number => readdirSync(`/proc/${server.process.child.pid}/fd`).length
      const openBefore = descriptors()
      expect(await outputOf(agent, 'python', program)).toContain('hello one.example.org')
      await expect.poll(descriptors).toBeLessThan(openBefore + 50)
    })

    test('is logged once per case, and nothing else changes', async () => {
      const invalid = invalidRequests.filter(({ expected }) => expected.source === String.raw`^HTTP\/1\.1 400 `)
      expect(invalid.length).toBeGreaterThan(25)
      const ofInvalid = (): object[] => records().filter(({ outcome }) => outcome === 'invalid')
      await expect.poll(() => ofInvalid().length - invalidBefore).toBeGreaterThanOrEqual(invalid.length)
      await assertAllIsWell()
      expect(proxyPids(server.process.child.pid)).toEqual(pids)
    })
  })
})
