import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { Theazo } from '../client.ts'
import { ConfigurationError } from '../errors.ts'
import { version } from './version.ts'

const apiKey = 'th_live_secret-of-the-test'
const servers: Server[] = []

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function stopServers(): Promise<void> {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

afterEach(async () => {
  await stopServers()
  delete process.env['THEAZO_API_KEY']
  delete process.env['THEAZO_BASE_URL']
})

const agentBody = JSON.stringify({ id: 'agt_1', sessionId: 'ses_1', status: 'idle' })

test('the version in the User-Agent is that of package.json', () => {
  expect(version).toBe(packageJson.version)
})

describe('the constructor', () => {
  test('takes the API key from the option, else from THEAZO_API_KEY, else throws an error that names both', async () => {
    const seen: (string | undefined)[] = []
    const baseUrl = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.end(agentBody)
    })
    process.env['THEAZO_API_KEY'] = 'th_live_from_env'
    await new Theazo({ apiKey, baseUrl }).agents.get('agt_1')
    await new Theazo({ baseUrl }).agents.get('agt_1')
    expect(seen).toEqual([`Bearer ${apiKey}`, 'Bearer th_live_from_env'])

    delete process.env['THEAZO_API_KEY']
    expect(() => new Theazo({ baseUrl })).toThrow(/pass \{ apiKey \}.*THEAZO_API_KEY/)
  })

  test('accepts a base URL with or without /v1, and reads THEAZO_BASE_URL', async () => {
    expect(new Theazo({ apiKey }).baseUrl).toBe('https://api.theazo.com/v1')
    expect(new Theazo({ apiKey, baseUrl: 'http://localhost:1' }).baseUrl).toBe('http://localhost:1/v1')
    expect(new Theazo({ apiKey, baseUrl: 'http://localhost:1/v1/' }).baseUrl).toBe('http://localhost:1/v1')
    expect(new Theazo({ apiKey, baseUrl: 'https://proxy.test/theazo' }).baseUrl).toBe('https://proxy.test/theazo/v1')
    process.env['THEAZO_BASE_URL'] = 'http://localhost:2'
    expect(new Theazo({ apiKey }).baseUrl).toBe('http://localhost:2/v1')
  })

  test.each(['not a url', 'ftp://localhost', ''])('refuses an invalid base URL: %j', (baseUrl) => {
    expect(() => new Theazo({ apiKey, baseUrl })).toThrow(ConfigurationError)
  })

  test('refuses an API key with white space', () => {
    expect(() => new Theazo({ apiKey: 'th_live_a\nx-evil: 1' })).toThrow(ConfigurationError)
  })

  test("sends headers of the options, which may replace the client's own, but never the API key", async () => {
    let seen: Record<string, unknown> = {}
    const baseUrl = await serve((request, response) => {
      seen = request.headers
      response.end(agentBody)
    })
    const headers = { 'X-Trace': '1', 'User-Agent': 'mine', Authorization: 'Bearer other' }
    await new Theazo({ apiKey, baseUrl, headers }).agents.get('agt_1')
    expect(seen).toMatchObject({ 'x-trace': '1', 'user-agent': 'mine', authorization: `Bearer ${apiKey}` })
  })

  test('encodes ids in paths', async () => {
    let path: string | undefined
    const baseUrl = await serve((request, response) => {
      path = request.url
      response.end(agentBody)
    })
    const theazo = new Theazo({ apiKey, baseUrl })
    await theazo.agents.get('../a b?c#d')
    expect(path).toBe('/v1/agents/..%2Fa%20b%3Fc%23d')
    for (const id of ['.', '..', '', '\ud800']) await expect(theazo.agents.get(id)).rejects.toThrow(ConfigurationError)
  })
})
