// The official conformance suite against the HTTP wiring, with the tools that it calls by name, and against the product.
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectHttpV1 } from '../sdk-v1/http-connection.ts'
import { createConformanceServer } from '../testing/conformance-server.ts'
import { listen, listenApp } from '../testing/http-server.ts'
import { loopbackHosts } from './loopback-hosts.ts'
import { createAuthenticator } from './mcp-auth.ts'
import { createMcpHttp } from './mcp-http.ts'

let local: LocalTheazo
let theazo: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(async () => await local[Symbol.asyncDispose]())

const suite = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')),
  'dist/index.js',
)

/** Runs the suite, and returns the lines of its summary: ✓ or ✗ and the scenario. */
async function conformance(url: string, ...args: string[]): Promise<string[]> {
  const run = promisify(execFile)(process.execPath, [suite, 'server', '--url', url, ...args], { timeout: 120_000 })
  const { stdout } = await run.catch((error: { stdout: string }) => error) // it fails if a scenario fails
  return stdout.split('\n').filter((line) => /^[✓✗] |^Total: |^Passed: /.test(line))
}

test('the HTTP wiring passes every scenario of the active suite', async () => {
  const auth = { type: 'none' } as const
  const openClient = () => theazo
  const app = createMcpHttp({
    auth,
    authenticate: createAuthenticator({ auth, userId: 'mcp', client: openClient, clientOfKey: openClient }),
    openServer: () => ({
      connect: (session) => connectHttpV1(createConformanceServer(), session),
      connectStateless: () => Promise.reject(new Error('not used')),
      async [Symbol.asyncDispose]() {},
    }),
    protocol: '2025-11-25',
    idleMs: 60_000,
    maxSessions: 100,
    maxSessionsPerUser: 100,
    allowedHosts: loopbackHosts,
    allowedOrigins: [],
    onError: () => {},
  })
  await using server = await listen(app)
  const summary = await conformance(server.url)
  expect(summary.filter((line) => line.startsWith('✗'))).toEqual([])
  expect(summary.filter((line) => line.startsWith('✓')).length).toBeGreaterThanOrEqual(30)
}, 180_000)

test('the product passes each scenario that calls nothing by name', async () => {
  await using server = await listenApp({ auth: { type: 'none' }, client: theazo })
  const scenarios = [
    'server-initialize',
    'logging-set-level',
    'ping',
    'completion-complete',
    'tools-list',
    'server-sse-multiple-streams',
    'resources-list',
    'prompts-list',
    'dns-rebinding-protection',
  ]
  const summary = await conformance(server.url)
  const passed = summary.filter((line) => line.startsWith('✓')).join('\n')
  for (const scenario of scenarios) expect(passed).toContain(`✓ ${scenario}:`)
}, 180_000)
