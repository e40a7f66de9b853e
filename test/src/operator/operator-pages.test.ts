// Pages and files that only operators may read.
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, expect, test } from 'vitest'

let folder: string
let server: ListeningTheazo
let log = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-operator-'))
  server = await listenTheazo({ port: 0, dataDir: folder, log: { write: (line) => void (log += line) } })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function statusOf(path: string, headers: Record<string, string>): Promise<number | undefined> {
  const { hostname, port } = new URL(server.url)
  const sent = request({ hostname, port, path, headers }).end()
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  answer.resume()
  return answer.statusCode
}

test.each(['localhost', '127.0.0.1', '127.1.2.3', '[::1]', 'localhost:4020'])(
  '/metrics answers this machine by its name %s',
  async (host) => expect(await statusOf('/metrics', { host })).toBe(200),
)

test.each([
  [{ host: 'api.example.com' }],
  [{ host: '10.0.0.1:4020' }],
  [{ host: 'localhost.example.com' }],
  [{ host: 'localhost', 'x-forwarded-for': '1.2.3.4' }],
  [{ host: 'localhost', 'x-forwarded-proto': 'https' }],
  [{ host: 'localhost', via: '1.1 proxy' }],
  [{ host: 'localhost', 'cf-connecting-ip': '1.2.3.4' }],
])('/metrics is 404 for a request with another host name or through a proxy: %j', async (headers) => {
  expect(await statusOf('/metrics', headers)).toBe(404)
  expect(await statusOf('/healthz', headers)).toBe(200)
})

test('a refused request writes only a short line to the log, however long its path is', async () => {
  log = ''
  expect(await statusOf(`/v1/agents/${'x'.repeat(12_000)}`, { host: 'localhost' })).toBe(401)
  await expect.poll(() => log).toContain('"status":401')
  expect(log.length).toBeLessThan(1000)
})

test('only the owner can read the files of the data folder', () => {
  for (const name of ['lock', 'api-key', 'theazo.db']) {
    expect([name, (statSync(join(folder, name)).mode & 0o077).toString(8)]).toEqual([name, '0'])
  }
})
