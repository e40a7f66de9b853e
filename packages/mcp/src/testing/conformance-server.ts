import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  CallToolRequestSchema,
  type CallToolResult,
  CompleteRequestSchema,
  CreateMessageResultSchema,
  type ElicitRequestFormParams,
  ElicitResultSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  type PromptMessage,
  ReadResourceRequestSchema,
  type ServerNotification,
  type ServerRequest,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>
type Content = CallToolResult['content'][number]
type FormSchema = ElicitRequestFormParams['requestedSchema']

/** A GIF and a WAV file with almost nothing in them. */
const image = {
  type: 'image',
  mimeType: 'image/gif',
  data: 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7',
} as const
const audio = {
  type: 'audio',
  mimeType: 'audio/wav',
  data: 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=',
} as const
const text = (value: string) => ({ type: 'text', text: value }) as const
const embedded = (uri: string) =>
  ({ type: 'resource', resource: { uri, mimeType: 'text/plain', text: 'embedded' } }) as const

/** The tools, resources and prompts that the conformance suite calls by name, for a test of the HTTP wiring. */
export function createConformanceServer(): McpServer {
  const capabilities = { tools: {}, resources: { subscribe: true }, prompts: {}, logging: {}, completions: {} }
  const mcp = new McpServer({ name: 'conformance-fixture', version: '0.0.0' }, { capabilities })
  const { server } = mcp
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: Object.keys(tools).map((name) => ({ name, description: name, inputSchema: { type: 'object' as const } })),
  }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const tool = tools[params.name]
    if (!tool) return { isError: true, content: [text('unknown tool')] }
    try {
      return { content: await tool(extra, params.arguments ?? {}) }
    } catch (error) {
      return { isError: true, content: [text(String(error))] }
    }
  })
  server.setRequestHandler(ListResourcesRequestSchema, () => ({
    resources: Object.keys(resources).map((uri) => ({ uri, name: uri })),
  }))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template' }],
  }))
  server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => {
    const [, id] = /^test:\/\/template\/([^/]+)\/data$/.exec(uri) ?? []
    const found = id === undefined ? resources[uri] : { mimeType: 'application/json', text: JSON.stringify({ id }) }
    if (!found) throw new Error(`There is no ${uri}.`)
    return { contents: [{ uri, ...found }] }
  })
  for (const schema of [SubscribeRequestSchema, UnsubscribeRequestSchema, SetLevelRequestSchema] as const) {
    server.setRequestHandler(schema as typeof SubscribeRequestSchema, () => ({})) // each of the three is answered alike
  }
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: Object.keys(prompts).map((name) => ({ name, description: name })),
  }))
  server.setRequestHandler(GetPromptRequestSchema, ({ params: { name, arguments: values = {} } }) => ({
    messages: (prompts[name]?.(values) ?? []).map((content) => ({ role: 'user' as const, content })),
  }))
  server.setRequestHandler(CompleteRequestSchema, () => ({ completion: { values: [] } }))
  return mcp
}

const tools: Readonly<Record<string, (extra: Extra, input: Record<string, unknown>) => Promise<Content[]>>> = {
  test_simple_text: async () => [text('This is a simple text response for testing.')],
  test_image_content: async () => [image],
  test_audio_content: async () => [audio],
  test_embedded_resource: async () => [embedded('test://embedded-resource')],
  test_multiple_content_types: async () => [text('several'), image, embedded('test://mixed-content-resource')],
  async test_tool_with_logging({ sendNotification }) {
    for (const data of ['started', 'working', 'completed']) {
      await sendNotification({ method: 'notifications/message', params: { level: 'info', data } })
    }
    return [text('logged')]
  },
  async test_tool_with_progress({ sendNotification, _meta }) {
    for (const progress of [0, 50, 100]) {
      const params = { progressToken: _meta?.progressToken ?? 0, progress, total: 100 }
      await sendNotification({ method: 'notifications/progress', params })
    }
    return [text('progressed')]
  },
  async test_error_handling() {
    throw new Error('This tool intentionally returns an error for testing')
  },
  async test_sampling({ sendRequest }, { prompt }) {
    const messages = [{ role: 'user' as const, content: text(String(prompt)) }]
    const request = { method: 'sampling/createMessage', params: { messages, maxTokens: 100 } } as const
    const { content } = await sendRequest(request, CreateMessageResultSchema)
    return [text(`LLM response: ${JSON.stringify(content)}`)]
  },
  test_elicitation: async (extra, { message }) =>
    await elicit(extra, String(message), { response: { type: 'string', description: 'The response' } }),
  test_elicitation_sep1034_defaults: async (extra) =>
    await elicit(extra, 'With defaults', {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    }),
  test_elicitation_sep1330_enums: async (extra) =>
    await elicit(extra, 'With enums', {
      untitledSingle: { type: 'string', enum: options('option') },
      titledSingle: { type: 'string', oneOf: titled('value') },
      legacyEnum: { type: 'string', enum: options('opt'), enumNames: ['One', 'Two', 'Three'] },
      untitledMulti: { type: 'array', items: { type: 'string', enum: options('option') } },
      titledMulti: { type: 'array', items: { anyOf: titled('value') } },
    }),
}

const options = (name: string): string[] => [1, 2, 3].map((n) => `${name}${n}`)
const titled = (name: string): { const: string; title: string }[] =>
  options(name).map((value) => ({ const: value, title: value.toUpperCase() }))

async function elicit(
  { sendRequest }: Extra,
  message: string,
  properties: FormSchema['properties'],
): Promise<Content[]> {
  const requestedSchema: FormSchema = { type: 'object', properties }
  const params = { mode: 'form', message, requestedSchema } as const
  const { action, content } = await sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema)
  return [text(`action=${action}, content=${JSON.stringify(content ?? {})}`)]
}

const resources: Readonly<Record<string, { mimeType: string } & ({ text: string } | { blob: string })>> = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/gif', blob: image.data },
  'test://watched-resource': { mimeType: 'text/plain', text: 'watched' },
}

const prompts: Readonly<Record<string, (values: Record<string, string>) => PromptMessage['content'][]>> = {
  test_simple_prompt: () => [text('This is a simple prompt for testing.')],
  test_prompt_with_arguments: ({ arg1, arg2 }) => [text(`arg1='${arg1}', arg2='${arg2}'`)],
  test_prompt_with_embedded_resource: ({ resourceUri = '' }) => [embedded(resourceUri), text('Process it.')],
  test_prompt_with_image: () => [image, text('Look at it.')],
}
