import { Client as ClientV2 } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import {
  type CallToolResult,
  CallToolResultSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ProgressNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import type { LogLevel } from '../mcp-types.ts'

/** The methods that the clients of both versions of the SDK share. */
type SharedMethod =
  | 'close'
  | 'complete'
  | 'getPrompt'
  | 'getServerCapabilities'
  | 'listPrompts'
  | 'listResourceTemplates'
  | 'listResources'
  | 'listTools'
  | 'readResource'

/** The answer of a user to a question. */
type UserAction = 'accept' | 'decline' | 'cancel'

/** Options of a call. */
interface CallOptions {
  signal?: AbortSignal
  onprogress?: (progress: { progress: number; message?: string | undefined }) => void
}

/** A connected MCP client of either version of the SDK, with shortcuts for tests. */
export interface TestClient extends AsyncDisposable {
  client: Pick<Client, SharedMethod>
  /** Calls a tool and validates its result by the tool's output schema, as the SDK's client does. */
  call: (name: string, input?: Record<string, unknown>, options?: CallOptions) => Promise<CallToolResult>
  /** Runs Bash code with `run_code` and returns the text of the result. */
  bash: (code: string) => Promise<string>
  /** Receives each progress notification, also of requests that did not ask for it. */
  onProgress: (listener: (params: object) => void) => void
  /** Receives the log messages. The level is `warning` until it is set. */
  onLog: (listener: (params: object) => void) => void
  setLogLevel: (level: LogLevel) => Promise<void>
  /** Answers the questions of the server. */
  onQuestion: (answer: (message: string) => UserAction | Promise<UserAction>) => void
  /** Calls the listener at each change of a resource until the returned function is called. */
  watch: (uri: string, listener: (uri: string) => void) => Promise<() => Promise<void>>
}

/** What a client tells the server about itself. */
export interface ClientSettings {
  /** True: it can ask its user. */
  canAsk?: boolean
}

const info = { name: 'test', version: '0' }
const capabilitiesOf = ({ canAsk = false }: ClientSettings) => (canAsk ? { elicitation: { form: {} } } : {})

/** Connects the client of version 1 of the SDK. */
export async function connectClientV1(
  connect: (client: Client) => Promise<void>,
  settings: ClientSettings = {},
): Promise<TestClient> {
  const client = new Client(info, { capabilities: capabilitiesOf(settings) })
  await connect(client)
  await client.listTools() // the client validates results only after this request
  const call: TestClient['call'] = async (name, input = {}, options = {}) =>
    CallToolResultSchema.parse(await client.callTool({ name, arguments: input }, undefined, options))
  return {
    client,
    call,
    bash: async (code) => textOf(await call('run_code', { language: 'bash', code })),
    onProgress: (listener) =>
      client.setNotificationHandler(ProgressNotificationSchema, ({ params }) => listener(params)),
    onLog: (listener) =>
      client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => listener(params)),
    async setLogLevel(level) {
      await client.setLoggingLevel(level)
    },
    onQuestion: (answer) =>
      client.setRequestHandler(ElicitRequestSchema, async ({ params }) => answered(await answer(params.message))),
    async watch(uri, listener) {
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => listener(params.uri))
      await client.subscribeResource({ uri })
      return async () => void (await client.unsubscribeResource({ uri }))
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

/**
 * Connects the client of version 2 of the SDK.
 *
 * @param mode `legacy`: it initializes, as clients of older protocols do. `modern`: it speaks 2026-07-28 only.
 */
export async function connectClientV2(
  connect: (client: ClientV2) => Promise<void>,
  mode: 'legacy' | 'modern',
  settings: ClientSettings = {},
): Promise<TestClient> {
  const negotiation = mode === 'legacy' ? mode : { pin: '2026-07-28' }
  const capabilities = capabilitiesOf(settings)
  const client = new ClientV2(info, { capabilities, versionNegotiation: { mode: negotiation } })
  await connect(client)
  await client.listTools()
  let level: LogLevel = 'warning'
  const call: TestClient['call'] = async (name, input = {}, options = {}) => {
    const meta = mode === 'modern' && { _meta: { 'io.modelcontextprotocol/logLevel': level } }
    const { _meta, ...result } = await client.callTool({ name, arguments: input, ...meta }, options)
    return CallToolResultSchema.parse(result)
  }
  return {
    client: client as unknown as TestClient['client'], // the same methods, with types of their own
    call,
    bash: async (code) => textOf(await call('run_code', { language: 'bash', code })),
    onProgress: (listener) => client.setNotificationHandler('notifications/progress', ({ params }) => listener(params)),
    onLog: (listener) => client.setNotificationHandler('notifications/message', ({ params }) => listener(params)),
    async setLogLevel(wanted) {
      level = wanted
      if (mode === 'legacy') await client.setLoggingLevel(wanted)
    },
    onQuestion: (answer) =>
      client.setRequestHandler('elicitation/create', async ({ params }) => answered(await answer(params.message))),
    async watch(uri, listener) {
      client.setNotificationHandler('notifications/resources/updated', ({ params }) => listener(params.uri))
      if (mode === 'legacy') {
        await client.subscribeResource({ uri })
        return async () => void (await client.unsubscribeResource({ uri }))
      }
      const subscription = await client.listen({ resourceSubscriptions: [uri] })
      return () => subscription.close()
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

function answered(action: UserAction) {
  return { action, ...(action === 'accept' && { content: {} }) }
}

/** The text of a result: its first content block. */
export function textOf({ content }: CallToolResult): string {
  const [first] = content
  if (first?.type !== 'text') throw new Error(`The first block is ${JSON.stringify(first)}`)
  return first.text
}

/** The agent id in a result's data. */
export function agentIdOf({ structuredContent }: CallToolResult): string {
  return String(structuredContent?.['agentId'])
}
