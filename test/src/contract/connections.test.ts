// How many connections a server accepts, and for how long: one client must not shut out the others.
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { connect, type Socket } from 'node:net'
import { listenTheazo } from '@theazo/server'
import { describe, expect, test } from 'vitest'
import { CheckedCaller } from '../support/checked-caller.ts'

const maxConnections = 10

/** A server that accepts few connections, and sockets to it that are closed at the end. */
async function listenWithFewConnections() {
  const server = await listenTheazo({ port: 0, maxConnections })
  const { key } = await server.keys.create({ mode: 'test', plan: 'enterprise' })
  const sockets: Socket[] = []
  /** Opens a connection and sends the beginning of a request. */
  const hold = async (text: string): Promise<Socket> => {
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1' })
    sockets.push(socket)
    socket.on('error', () => {}) // the server may close it
    await once(socket, 'connect')
    socket.resume()
    socket.write(text)
    return socket
  }
  const closed = (): number => sockets.filter(({ closed: isClosed }) => isClosed).length
  return {
    server,
    hold,
    closed,
    authorization: `authorization: Bearer ${key}\r\n`,
    caller: await CheckedCaller.to(server, key),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Less than 15 s, after which the server closes a connection without a request in any case. */
const pollOptions = { timeout: 10_000 }
/** A request on its own connection. */
const health = async (url: string): Promise<number> => {
  const response = await fetch(new URL('/healthz', url), { headers: { connection: 'close' } })
  await response.text()
  return response.status
}

describe('one client that keeps connections open does not shut out others', () => {
  test.each([
    ['connections that send nothing', ''],
    ['connections that never end their headers', 'GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: '],
    ['connections that wait after their answer', 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'],
    [
      'connections that were refused and send no body',
      'POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n',
    ],
  ])('with many %s', async (_, text) => {
    await using opened = await listenWithFewConnections()
    for (let count = 0; count < 5 * maxConnections; count += 1) await opened.hold(text)
    for (let count = 0; count < 5; count += 1) expect(await health(opened.server.url)).toBe(200)
    // The server closed all except the latest, to make room.
    await expect.poll(opened.closed, pollOptions).toBeGreaterThanOrEqual(4 * maxConnections)
  })

  test('and the server does not close a connection with a request in progress', async () => {
    await using opened = await listenWithFewConnections()
    const { caller } = opened
    const agentId = await caller.agent()
    await using stream = await caller.stream(agentId)
    const running = caller.exec(agentId, 'bash', '# theazo:delay=1500 theazo:stdout=on')
    for (let count = 0; count < 5 * maxConnections; count += 1) await opened.hold('')
    expect((await running).body.stdout).toBe('on')
    await caller.post(`/agents/${agentId}/pause`)
    expect((await stream.next())?.data).toEqual({ status: 'paused' })
  })

  test('a new connection is closed while all others have requests in progress, and accepted when one has ended', async () => {
    await using opened = await listenWithFewConnections()
    const agentId = await opened.caller.agent()
    const request = `GET /v1/agents/${agentId}/stream HTTP/1.1\r\nhost: x\r\n${opened.authorization}\r\n`
    const streams: Socket[] = []
    for (let count = 0; count < maxConnections; count += 1) {
      const socket = await opened.hold(request)
      await once(socket, 'data') // the stream is open
      streams.push(socket)
    }
    const refused = await opened.hold('')
    await expect.poll(() => refused.closed, pollOptions).toBe(true)
    expect(streams.filter(({ closed }) => closed)).toEqual([])
    streams[0]?.destroy()
    await expect.poll(() => health(opened.server.url).catch(String), pollOptions).toBe(200)
  })
})

describe('an idle connection stays open for the next request', () => {
  const request = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'

  test('for 75 s: longer than load balancers keep theirs', async () => {
    await using server = await listenTheazo({ port: 0 })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const sockets = new Set<unknown>()
    for (let count = 0; count < 3; count += 1) {
      const [response] = await once(get(new URL('/healthz', server.url), { agent }), 'response')
      sockets.add(response.socket)
      expect(response.headers['keep-alive']).toBe('timeout=75')
      response.resume()
      await once(response, 'end')
    }
    expect(sockets.size).toBe(1)
    agent.destroy()
  })

  test('for the time that the operator configures; then the server closes it', async () => {
    await using server = await listenTheazo({ port: 0, keepAliveTimeoutMs: 1000 })
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1' })
    for (let count = 0; count < 2; count += 1) {
      socket.write(request)
      const [answer] = await once(socket, 'data')
      expect(String(answer)).toMatch(/^HTTP\/1\.1 200 .*\r\nkeep-alive: timeout=1\r\n/is)
    }
    socket.resume()
    await once(socket, 'end')
  })
})
