// Attacks on the server's memory: output that is large, full of characters that JSON escapes, or never read.
import { connect, type Socket } from 'node:net'
import { type Agent, Theazo } from '@theazo/core'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { heapOf } from '../support/heap-of.ts'
import { root, startServer } from '../support/server-process.ts'

let server: ListeningTheazo
let agent: Agent
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
  agent = await (await theazo.sessions.forUser('output')).agents.create()
})
afterAll(() => server[Symbol.asyncDispose]())

const nul = (mebibytes: number): string => `head -c ${mebibytes * 1024 * 1024} /dev/zero`

test('ten mebibytes of NUL are cut as soon as their JSON is larger than twice the output limit', async () => {
  for (const options of [{}, { onStdout: () => {} }]) {
    const result = await agent.exec('bash', nul(10), options)
    expect(result.stdoutTruncated).toBe(true)
    expect(JSON.stringify(result.stdout).length).toBeLessThan(21 * 1024 * 1024)
    expect(result.stdout.length).toBeGreaterThan(1024 * 1024)
  }
})

test('output that JSON does not escape, or only doubles, is complete up to the output limit', async () => {
  const lines = await agent.exec('bash', "yes '' | head -c 10485760")
  expect([lines.stdout.length, lines.stdoutTruncated]).toEqual([10_485_760, undefined])
})

test('a large result is the same with and without streaming, with escaped characters and surrogate pairs', async () => {
  const code = `import sys; sys.stdout.write(('😀"\\\\\\n\\t' * 7 + 'x') * 40000); sys.stderr.write('é' * 700000)`
  const expected = '😀"\\\n\t'.repeat(7).concat('x').repeat(40_000)
  let streamed = ''
  const plain = await agent.exec('python', code)
  const live = await agent.exec('python', code, { onStdout: (text) => (streamed += text) })
  expect(plain.stdout === expected).toBe(true)
  expect([live.stdout === expected, streamed === expected]).toEqual([true, true])
  expect(live.stderr).toBe(plain.stderr)
})

test('the output of a program that prints single bytes is streamed completely', async () => {
  let streamed = ''
  const code = "import os\nfor i in range(20000): os.write(1, b'0123456789'[i % 10:i % 10 + 1])"
  const onStdout = async (text: string): Promise<void> => {
    streamed += text
    await new Promise(setImmediate)
  }
  const { stdout } = await agent.exec('python', code, { onStdout })
  expect([stdout.length, streamed === stdout]).toEqual([20_000, true])
})

/** Sends an exec and reads nothing of the response. */
function unreadExec(url: URL, apiKey: string, agentId: string, accept: string): Socket {
  const socket = connect({ host: url.hostname, port: Number(url.port) })
  socket.pause()
  socket.on('error', () => {})
  const body = JSON.stringify({ lang: 'bash', code: `${nul(10)}; ${nul(10)} >&2` })
  socket.write(
    `POST /v1/agents/${agentId}/exec HTTP/1.1\r\nhost: ${url.host}\r\nauthorization: Bearer ${apiKey}\r\n` +
      `accept: ${accept}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  )
  return socket
}

test.each(['application/json', 'text/event-stream'])(
  'thirty unread responses full of NUL, as %s, do not exhaust the server or block other agents',
  async (accept) => {
    const bin = `${root}packages/server/dist/bin.js`
    const args = ['--inspect=127.0.0.1:0', bin, 'serve', '--port', '0', '--json']
    await using process_ = await startServer(process.execPath, args)
    const theazo = new Theazo({ baseUrl: process_.url, apiKey: process_.apiKey })
    const session = await theazo.sessions.forUser('unread')
    const hostile = await session.agents.create()
    const other = await session.agents.create()
    await other.exec('bash', 'true')
    const before = await heapOf(process_.output.err)
    const sockets = Array.from({ length: 30 }, () =>
      unreadExec(new URL(process_.url), process_.apiKey, hostile.id, accept),
    )
    let largest = 0
    for (let round = 0; round < 20; round += 1) {
      expect((await other.exec('bash', 'echo mine')).stdout).toBe('mine\n')
      largest = Math.max(largest, (await heapOf(process_.output.err)) - before)
    }
    for (const socket of sockets) socket.destroy()
    expect(largest).toBeLessThan(600 * 1024 * 1024)
    // The memory is free again: the next large output is complete.
    await expect.poll(async () => (await other.exec('bash', 'yes | head -c 8000000')).stdout.length).toBe(8_000_000)
  },
)
