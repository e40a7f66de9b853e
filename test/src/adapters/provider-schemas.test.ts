// The tool definitions that each provider's own package sends for the 17 tools, checked against the rules of that API.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { theazoTools as aiSdkTools } from '@theazo/ai-sdk'
import { Theazo } from '@theazo/core'
import { theazoTools as langChainTools } from '@theazo/langchain'
import { createTheazoMcpServer } from '@theazo/mcp'
import { generateText } from 'ai'
import { Ajv } from 'ajv'
import { createAgent, providerStrategy } from 'langchain'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod/v4'
import { type ModelServer, startModelServer } from '../support/model-server.ts'
import { aiSdkModels, langChainModels } from './provider-models.ts'

/** Any part of a JSON Schema. */
interface Schema {
  type?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  anyOf?: Schema[]
  enum?: unknown[]
  additionalProperties?: unknown
}

interface SentTool {
  name: string
  description: string
  /** Absent if the package sends no schema for a tool without input. */
  schema: Schema | undefined
  strict?: boolean
}

let server: ModelServer
beforeAll(async () => {
  server = await startModelServer()
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  server.requests.length = 0
})

// No tool is called: the client is never used.
const source = { client: new Theazo({ apiKey: 'th_test_none' }), userId: 'nobody', groups: 'all' } as const

/** The tools of the last request, from the place that the API defines. */
function sentTools(): SentTool[] {
  const { tools = [] } = (server.requests.at(-1)?.body ?? {}) as { tools?: Record<string, unknown>[] }
  return tools.flatMap((tool) => {
    const declared = tool['functionDeclarations'] as Record<string, unknown>[] | undefined
    return (declared ?? [(tool['function'] as Record<string, unknown>) ?? tool]).map((each) => ({
      name: String(each['name']),
      description: String(each['description']),
      schema: (each['parameters'] ?? each['input_schema'] ?? each['parametersJsonSchema']) as Schema | undefined,
      ...(each['strict'] !== undefined && { strict: each['strict'] === true }),
    }))
  })
}

function everyPart(schema: Schema): Schema[] {
  return [schema, ...[...Object.values(schema.properties ?? {}), ...(schema.anyOf ?? [])].flatMap(everyPart)]
}

function expectPortable(tools: readonly SentTool[]): void {
  for (const { name, description } of tools) {
    expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/)
    expect([name, description.length > 10 && description.length <= 1024]).toEqual([name, true])
  }
}

/** OpenAI, "Structured outputs": every property is required, no others are allowed, and few keywords are supported. */
function expectStrictOpenAi(tools: readonly SentTool[]): void {
  const keywords = new Set([
    'type',
    'properties',
    'required',
    'additionalProperties',
    'description',
    'enum',
    'anyOf',
    '$schema',
  ])
  for (const { name, schema = {} } of tools) {
    for (const part of everyPart(schema)) {
      expect([name, Object.keys(part).filter((key) => !keywords.has(key))]).toEqual([name, []])
      if (part.type !== 'object') continue
      expect([name, part.additionalProperties]).toEqual([name, false])
      expect([name, part.required?.toSorted()]).toEqual([name, Object.keys(part.properties ?? {}).toSorted()])
    }
  }
}

/**
 * Anthropic: a JSON Schema object without a combination at the top; strict tools support no bounds of numbers or
 * strings.
 */
function expectAnthropic(tools: readonly SentTool[]): void {
  const refused = new Set([
    'minimum',
    'maximum',
    'multipleOf',
    'minLength',
    'maxLength',
    'oneOf',
    'allOf',
    '$ref',
    'default',
  ])
  for (const { name, schema = {} } of tools) {
    expect([name, schema.type, schema.anyOf]).toEqual([name, 'object', undefined])
    expect([name, schema.additionalProperties]).toEqual([name, false])
    const found = everyPart(schema).flatMap((part) => Object.keys(part).filter((key) => refused.has(key)))
    expect([name, found]).toEqual([name, []])
    expect([name, Object.keys(schema.properties ?? {}).every((key) => /^[\w.-]{1,64}$/.test(key))]).toEqual([
      name,
      true,
    ])
  }
}

/** Gemini's `Schema` (a part of OpenAPI 3.0): one type each, enums of strings alone, no object without properties. */
function expectGemini(tools: readonly SentTool[]): void {
  const keywords = new Set([
    'type',
    'format',
    'description',
    'nullable',
    'enum',
    'properties',
    'required',
    'minimum',
    'maximum',
    'anyOf',
  ])
  const types = new Set(['string', 'integer', 'boolean', 'object', 'null'])
  for (const { name, schema } of tools) {
    if (!schema) continue
    for (const part of everyPart(schema)) {
      expect([name, Object.keys(part).filter((key) => !keywords.has(key))]).toEqual([name, []])
      if (!part.anyOf) expect([name, types.has(String(part.type).toLowerCase())]).toEqual([name, true])
      if (part.enum) expect([name, part.type]).toEqual([name, 'string'])
      if (part.type === 'object') expect([name, Object.keys(part.properties ?? {}).length > 0]).toEqual([name, true])
    }
  }
}

function expectJsonSchema(tools: readonly SentTool[]): void {
  const ajv = new Ajv({ strict: true, strictTypes: false })
  for (const { name, schema = {} } of tools) {
    expect([name, schema.type]).toEqual([name, 'object'])
    const { $schema: _dialect, ...rest } = schema as { $schema?: string }
    expect(() => ajv.compile(rest)).not.toThrow()
  }
}

describe('LangChain', () => {
  const responseFormat = providerStrategy(z.object({ answer: z.string().optional() }))

  test.each(['OpenAI Chat Completions', 'OpenAI Responses', 'Anthropic', 'Gemini'])(
    'sends tools that obey the rules of %s',
    async (api) => {
      const model = langChainModels(server.url)[api]
      if (!model) expect.fail(api)
      const isOpenAi = api.startsWith('OpenAI')
      // For structured output ChatOpenAI makes every tool strict.
      const agent = createAgent({ model, tools: langChainTools(source), ...(isOpenAi && { responseFormat }) })
      await agent.invoke({ messages: 'go' })
      const tools = sentTools()
      expect(tools).toHaveLength(17)
      expectPortable(tools)
      if (isOpenAi) expectStrictOpenAi(tools)
      if (api === 'OpenAI Chat Completions') expect(tools.every(({ strict }) => strict)).toBe(true)
      if (api === 'Anthropic') expectAnthropic(tools)
      if (api === 'Gemini') expectGemini(tools)
    },
  )
})

describe('AI SDK', () => {
  const apis = ['OpenAI Chat Completions', 'OpenAI Responses', 'an OpenAI compatible API', 'Anthropic', 'Gemini']

  test.each(apis)('sends tools that obey the rules of %s', async (api) => {
    const model = aiSdkModels(server.url)[api]
    if (!model) expect.fail(api)
    await generateText({ model, prompt: 'go', tools: aiSdkTools(source) })
    const tools = sentTools()
    expect(tools).toHaveLength(17)
    expectPortable(tools)
    expectJsonSchema(tools)
    if (api === 'Anthropic') expectAnthropic(tools)
    else expectStrictOpenAi(tools)
  })

  test('a caller may make every tool strict', async () => {
    const tools = Object.entries(aiSdkTools(source)).map(([name, tool]) => [name, { ...tool, strict: true }])
    const model = aiSdkModels(server.url)['OpenAI Responses']
    if (!model) expect.fail('no model')
    await generateText({ model, prompt: 'go', tools: Object.fromEntries(tools) })
    expect(sentTools().every(({ strict }) => strict)).toBe(true)
    expectStrictOpenAi(sentTools())
  })
})

test('an MCP client sees optional fields as optional, and its validator takes every schema', async () => {
  const mcp = createTheazoMcpServer(source)
  const client = new Client({ name: 'test', version: '0' })
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  await Promise.all([mcp.connect(serverSide), client.connect(clientSide)])
  await using _connection = { [Symbol.asyncDispose]: () => client.close() }
  const { tools } = await client.listTools()
  const sent = tools.map(({ name, description = '', inputSchema }) => ({
    name,
    description,
    schema: inputSchema as Schema,
  }))
  expect(sent).toHaveLength(19) // with wait and stop
  expectPortable(sent)
  expectJsonSchema(sent)
  expect(sent.find(({ name }) => name === 'run_code')?.schema.required).toEqual(['language', 'code'])
  for (const { name, outputSchema } of tools) expect([name, outputSchema?.type]).toEqual([name, 'object'])
})
