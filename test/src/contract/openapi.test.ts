// The server's OpenAPI document is valid, complete, and matches the routes.
import { Validator } from '@seriousme/openapi-schema-validator'
import type { ListeningTheazo } from '@theazo/server'
import { createParser } from 'eventsource-parser'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiSchema, type OpenApiDocument } from '../support/api-schema.ts'
import { type CheckedCaller, expectError, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let live: CheckedCaller
let mocked: CheckedCaller
let document: OpenApiDocument
beforeAll(async () => {
  ;({ server, live, mocked } = await listenWithCallers())
  document = mocked.schema.document
})
afterAll(() => server[Symbol.asyncDispose]())

const operations = () => Object.values(document.paths).flatMap((item) => Object.values(item))

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

/** The routes of the contract, in its order. */
const routes = [
  'POST /sessions',
  'POST /sessions/by-user/{userId}',
  'GET /sessions',
  'GET /sessions/{id}',
  'PATCH /sessions/{id}',
  'POST /sessions/{id}/terminate',
  'GET /sessions/{id}/usage',
  'GET /sessions/{id}/agents',
  'POST /sessions/{id}/agents',
  'GET /agents/{id}',
  'GET /agents/{id}/status',
  'GET /agents/{id}/files',
  'POST /agents/{id}/files',
  'GET /agents/{id}/files/{path}',
  'GET /agents/{id}/tasks/{taskId}',
  'POST /agents/{id}/tasks/{taskId}/cancel',
  'POST /agents/{id}/run',
  'POST /agents/{id}/exec',
  'POST /agents/{id}/pause',
  'POST /agents/{id}/resume',
  'POST /agents/{id}/terminate',
  'GET /agents/{id}/stream',
  'GET /usage/summary',
]

/** The path of a template, with ids that exist. */
async function pathOf(template: string, caller = mocked): Promise<string> {
  const sessionId = await caller.session()
  const agentId = await caller.agent({}, sessionId)
  const taskId = template.includes('{taskId}') ? await caller.run(agentId, 'theazo:hang') : ''
  return template
    .replace('{userId}', 'user_1')
    .replace('{taskId}', taskId)
    .replace('{path}', 'notes.txt')
    .replace('{id}', template.startsWith('/agents') ? agentId : sessionId)
}

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    expect(document.openapi).toMatch(/^3\.1\./)
    // A copy, because the validator resolves references in place.
    const copy = structuredClone(document)
    expect(await new Validator().validate({ ...copy })).toEqual({ valid: true })
    // Control: the validator finds an error.
    const broken = { ...structuredClone(document), paths: { '/x': { get: { responses: 1 } } } }
    expect(await new Validator().validate(broken)).toMatchObject({ valid: false })
  })

  test('needs no key, and states the base URL and how keys are sent', async () => {
    const response = await fetch(new URL('/openapi.json', server.url))
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(await response.json()).toMatchObject({
      servers: [{ url: '/v1' }],
      security: [{ key: [] }],
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    })
  })

  test('has the routes of the contract, and no others', () => {
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(documented.toSorted()).toEqual(routes.toSorted())
  })

  test('names every parameter of its paths', () => {
    for (const [path, item] of Object.entries(document.paths)) {
      const named = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name)
      for (const { parameters = [] } of Object.values(item)) {
        const inPath = parameters.filter((parameter) => parameter.in === 'path')
        expect(inPath).toEqual(named.map((name) => expect.objectContaining({ name, required: true })))
      }
    }
  })

  test('has a unique operationId for each operation, usable as a function name', () => {
    const ids = operations().map(({ operationId }) => operationId ?? '')
    expect(ids.filter((id) => !/^[a-z][A-Za-z]+$/.test(id))).toEqual([])
    expect(new Set(ids).size).toBe(routes.length)
  })

  test('declares numbers in queries and headers as numbers', () => {
    const parameters = operations().flatMap((operation) => operation.parameters ?? [])
    for (const name of ['limit', 'lastEventId', 'last-event-id']) {
      const types = parameters.filter((parameter) => parameter.name === name).map(({ schema }) => schema['type'])
      expect([name, new Set(types)]).toEqual([name, new Set(['integer'])])
    }
  })

  test('has a schema for each stream, which every event matches', async () => {
    const events = async (body: object): Promise<unknown[]> => {
      const agentId = await live.agent()
      const response = await fetch(`${live.url}/agents/${agentId}/exec`, {
        method: 'POST',
        headers: { authorization: `Bearer ${live.key}`, accept: 'text/event-stream' },
        body: JSON.stringify(body),
      })
      const found: unknown[] = []
      const parser = createParser({ onEvent: ({ event, data }) => found.push({ event, data: JSON.parse(data) }) })
      parser.feed(await response.text())
      return found
    }
    const good = await events({ lang: 'bash', code: 'echo on; echo err >&2; echo > made' })
    const bad = await events({ lang: 'bash', code: 'echo on; sleep 60', timeoutMs: 3000 })
    const names = [...good, ...bad].map((event) => (event as { event: string }).event)
    expect(new Set(names)).toEqual(new Set(['stdout', 'stderr', 'exit', 'error']))
    for (const event of [...good, ...bad]) mocked.schema.assertIs('ExecEvent', event)
    // Controls. CheckedEventReader checks the events of agents against their schema in every test.
    expect(() => mocked.schema.assertIs('ExecEvent', { event: 'stdout', data: { txt: 'on' } })).toThrow('as documented')
    expect(() => mocked.schema.assertIs('AgentEvent', { event: 'output', data: {} })).toThrow('as documented')
  })

  test('has closed answers: each object states whether it may have more fields', () => {
    const open: string[] = []
    const walk = (schema: unknown, path: string): void => {
      if (typeof schema !== 'object' || schema === null) return
      if ('type' in schema && schema.type === 'object' && !('additionalProperties' in schema)) open.push(path)
      for (const [key, value] of Object.entries(schema)) walk(value, `${path}/${key}`)
    }
    walk(document.components.schemas, '')
    expect(open).toEqual([])
    expect(Object.keys(document.components.schemas).length).toBeGreaterThan(7)
  })

  test('rejects an answer with an unknown field, a missing field or an undocumented status', () => {
    const schema = new ApiSchema(document)
    const answer = { method: 'POST', path: '/agents/agt_1/terminate', status: 200, mediaType: 'application/json' }
    schema.assertAllows({ ...answer, body: { ok: true } })
    expect(() => schema.assertAllows({ ...answer, body: { ok: true, more: 1 } })).toThrow('not as documented')
    expect(() => schema.assertAllows({ ...answer, body: {} })).toThrow('not as documented')
    expect(() => schema.assertAllows({ ...answer, status: 201, body: { ok: true } })).toThrow('is not documented')
    expect(() => schema.assertAllows({ ...answer, mediaType: 'text/html', body: '' })).toThrow('text/html')
    const error = { ...answer, status: 404, body: { error: { code: 'not_found', message: 'No.' } } }
    expect(() => schema.assertAllows(error)).toThrow('requestId')
  })
})

describe.each(routes)('%s', (route) => {
  const [method = '', template = ''] = route.split(' ')

  test('has an example body that the server accepts unchanged', async () => {
    const { requestBody } = document.paths[template]?.[method.toLowerCase()] ?? {}
    if (!requestBody) return
    const { example } = requestBody.content['application/json'] ?? {}
    expect(example).toBeTypeOf('object')
    // A documentation page fills in the example body; for a path it only knows that an id is needed. Live keys have no model.
    const caller = template.endsWith('/run') ? mocked : live
    const path = await pathOf(template, caller)
    if (path.endsWith('/resume')) await caller.send('POST', path.replace('resume', 'pause'))
    const { status, body } = await caller.send(method, path, JSON.stringify(example))
    expect([status < 300, body]).toEqual([true, expect.any(Object)])
  })

  test('is a route of the server', async () => {
    const path = await pathOf(template)
    if (template.endsWith('/stream'))
      return await (await mocked.stream(path.split('/')[2] ?? ''))[Symbol.asyncDispose]()
    const { status } = await mocked.send(method, path, method === 'GET' ? undefined : '{}')
    expect([404, 405]).not.toContain(status)
    expect(status).toBeLessThan(500)
  })

  test('has no other method', async () => {
    const path = await pathOf(template)
    const documented = Object.keys(document.paths[template] ?? {})
    // fetch cannot send TRACE; HEAD is GET without the body, so it has no envelope.
    for (const other of methods.filter((name) => !['head', 'trace', ...documented].includes(name))) {
      const answer = await mocked.send(other.toUpperCase(), path)
      expectError(answer, 405, 'not_found')
      const allowed = (answer.headers.get('allow') ?? '').toLowerCase().split(', ')
      expect([other, allowed.toSorted()]).toEqual([other, documented.toSorted()])
    }
  })
})
