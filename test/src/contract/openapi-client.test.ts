// A client that is generated from the server's OpenAPI document, with the tools that most TypeScript users choose.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import openapiTS, { astToString } from 'openapi-typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const run = promisify(execFile)

let server: ListeningTheazo
let folder: string
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  // Below test/, so that the program finds openapi-fetch; not in node_modules/, in which Node does not strip types.
  await mkdir(join(root, 'test/dist'), { recursive: true })
  folder = await mkdtemp(join(root, 'test/dist/openapi-client-'))
  const document = new URL('/openapi.json', server.url)
  await writeFile(join(folder, 'api.d.ts'), astToString(await openapiTS(document)))
  await writeFile(join(folder, 'client.ts'), client)
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const client = `
import createClient from 'openapi-fetch'
import type { components, paths } from './api.d.ts'

export type AgentEvent = components['schemas']['AgentEvent']
const { THEAZO_BASE_URL: baseUrl = '', THEAZO_API_KEY: key = '' } = process.env
export const client = createClient<paths, 'application/json'>({ baseUrl, headers: { authorization: \`Bearer \${key}\` } })
`

/** Compiles a program that uses the client and runs it. */
async function compileAndRun(name: string, program: string): Promise<unknown> {
  const path = join(folder, name)
  await writeFile(path, program)
  const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess']
  const modules = ['--module', 'nodenext', '--target', 'es2024', '--allowImportingTsExtensions', '--types', 'node']
  await run(join(root, 'node_modules/.bin/tsc'), [...flags, ...modules, path]).catch((error: { stdout: string }) =>
    expect.fail(error.stdout),
  )
  const env = { ...process.env, THEAZO_BASE_URL: server.url, THEAZO_API_KEY: server.apiKey }
  const { stdout } = await run(process.execPath, [path], { env })
  return JSON.parse(stdout)
}

test('a generated client compiles and can use the API', { timeout: 60_000 }, async () => {
  const done = await compileAndRun(
    'program.ts',
    `
import { type AgentEvent, client } from './client.ts'

const { data: session } = await client.POST('/sessions', { body: { userId: 'u', limits: { maxAgents: 2 } } })
if (!session) throw new Error('no session')
const { data: same } = await client.POST('/sessions/by-user/{userId}', { params: { path: { userId: 'u' } } })
const { data: agent } = await client.POST('/sessions/{id}/agents', {
  params: { path: { id: session.id } },
  body: { name: 'main' },
})
if (!agent) throw new Error('no agent')
const path = { id: agent.id }
const { data: result } = await client.POST('/agents/{id}/exec', {
  params: { path },
  body: { lang: 'python', code: 'print(2 + 2)' },
})
await client.POST('/agents/{id}/pause', { params: { path } })
await client.POST('/agents/{id}/terminate', { params: { path } })
const stream = await client.GET('/agents/{id}/stream', { params: { path, query: { lastEventId: 0 } }, parseAs: 'text' })
const names: AgentEvent['event'][] = ['status']
const { data: page } = await client.GET('/sessions', { params: { query: { limit: 1 } } })
const { data: usage } = await client.GET('/usage/summary')
const { error } = await client.POST('/agents/{id}/exec', { params: { path }, body: { lang: 'bash', code: '' } })
console.log(
  JSON.stringify({
    isSame: same?.id === session.id,
    maxAgents: session.limits.maxAgents,
    stdout: result?.stdout,
    events: String(stream.data).split(\`event: \${names[0]}\`).length - 1,
    sessions: page?.data.length,
    currency: usage?.total.currency,
    code: error?.error.code,
  }),
)
`,
  )
  expect(done).toEqual({
    isSame: true,
    maxAgents: 2,
    stdout: '4\n',
    events: 3, // idle, paused, terminated
    sessions: 1,
    currency: 'usd',
    code: 'conflict',
  })
})

test('requests that the API would refuse do not compile', { timeout: 60_000 }, async () => {
  const refused = await compileAndRun(
    'refused.ts',
    `
import { client } from './client.ts'

const params = { path: { id: 'agt_none' } }
const answers = await Promise.all([
  // @ts-expect-error unknown language
  client.POST('/agents/{id}/exec', { params, body: { lang: 'ruby', code: '' } }),
  // @ts-expect-error no code
  client.POST('/agents/{id}/exec', { params, body: { lang: 'bash' } }),
  // @ts-expect-error no user
  client.POST('/sessions', { body: { limits: { maxAgents: 1 } } }),
  // @ts-expect-error a number is a number
  client.GET('/sessions', { params: { query: { limit: 'many' } } }),
])
console.log(JSON.stringify(answers.map(({ response }) => response.status)))
`,
  )
  expect(refused).toEqual([422, 422, 422, 422])
})
