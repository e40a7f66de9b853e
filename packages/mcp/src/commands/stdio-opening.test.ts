import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { opensWithVersion } from './stdio-opening.ts'

const modern = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } }

/** Writes the chunks, and returns the verdict and what is left to read. */
async function opening(...chunks: string[]): Promise<[boolean, string]> {
  const stream = new PassThrough()
  const verdict = opensWithVersion(stream)
  for (const chunk of chunks) {
    stream.write(chunk)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const isModern = await verdict
  stream.end()
  let rest = ''
  for await (const chunk of stream) rest += String(chunk)
  return [isModern, rest]
}

test.each([
  ['a message that names its version', { jsonrpc: '2.0', id: 1, method: 'server/discover', params: modern }, true],
  ['initialize', { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }, false],
  ['a message with other metadata', { jsonrpc: '2.0', id: 1, method: 'ping', params: { _meta: {} } }, false],
  ['no object', null, false],
])('%s: %#', async (_what, message, expected) => {
  const line = `${JSON.stringify(message)}\n`
  expect(await opening(line)).toEqual([expected, line])
})

test('a line in several chunks is read to its end, and later lines stay', async () => {
  const line = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'server/discover', params: modern })
  expect(await opening(line.slice(0, 20), `${line.slice(20)}\nnext\n`)).toEqual([true, `${line}\nnext\n`])
})

test('a long first message is read to its end', async () => {
  const params = { ...modern, arguments: { code: 'x'.repeat(1_000_000) } }
  const line = `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })}\n`
  const [isModern, rest] = await opening(line.slice(0, 500_000), line.slice(500_000))
  expect([isModern, rest === line]).toEqual([true, true])
})

test('what is not JSON, and a line without an end, name no version', async () => {
  expect(await opening('not json\n')).toEqual([false, 'not json\n'])
  const long = 'x'.repeat(10 * 1024 * 1024 + 1)
  const [isModern, rest] = await opening(long)
  expect([isModern, rest === long]).toEqual([false, true])
})
