/** A block of a result. */
export type Content =
  | { type: 'text'; text: string }
  | { type: 'image'; mimeType: string; data: string }
  | { type: 'resource_link'; uri: string; name: string; mimeType: string; size: number }

/** The result of a tool call. */
export interface CallToolResult {
  content: Content[]
  structuredContent?: Record<string, unknown>
  isError?: boolean
}

/** A value of JSON. */
type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject

/** An object of JSON. */
export interface JsonObject {
  [name: string]: JsonValue
}

/** A JSON Schema whose root is an object. */
export interface ObjectSchema {
  type: 'object'
  properties?: Record<string, JsonObject>
  required?: string[]
  [keyword: string]: unknown
}

/** A tool as `tools/list` describes it. */
export interface ListedTool {
  name: string
  title: string
  description: string
  inputSchema: ObjectSchema
  outputSchema: ObjectSchema
  annotations: { readOnlyHint: boolean; destructiveHint: boolean; idempotentHint: boolean; openWorldHint: boolean }
}

/** A resource as `resources/list` describes it. */
export interface Resource {
  uri: string
  name: string
  title: string
  description?: string
  mimeType: string
}

/** A template as `resources/templates/list` describes it. */
export interface ResourceTemplate {
  uriTemplate: string
  name: string
  title: string
  description: string
  mimeType?: string
}

/** The content of a resource. */
export interface ReadResourceResult {
  contents: ({ uri: string; mimeType: string } & ({ text: string } | { blob: string }))[]
}

/** A prompt as `prompts/list` describes it. */
export interface Prompt {
  name: string
  title: string
  description: string
  arguments: { name: string; description: string; required: boolean }[]
}

/** The messages of a prompt with its arguments. */
export interface GetPromptResult {
  description: string
  messages: { role: 'user'; content: { type: 'text'; text: string } }[]
}

/** A request for suggestions. */
export interface CompleteParams {
  ref: { type: 'ref/prompt'; name: string } | { type: 'ref/resource'; uri: string }
  argument: { name: string; value: string }
  context?: { arguments?: Record<string, string> | undefined } | undefined
}

/** Suggestions for one argument. */
export interface CompleteResult {
  completion: { values: string[]; total: number; hasMore: boolean }
}

/** The levels of log messages (RFC 5424), least severe first. */
export const logLevels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const

/** A level of log messages. */
export type LogLevel = (typeof logLevels)[number]

/** A question to the user (MCP elicitation). The form has no fields: the user only accepts or declines. */
export interface ApprovalQuestion {
  message: string
  requestedSchema: { type: 'object'; properties: Record<string, never> }
}

/** The decision of the user about a call. `unanswered`: there was none in time. `unsupported`: the client cannot ask. */
export type Approval = 'approved' | 'declined' | 'unanswered' | 'unsupported'

/** A message about a request that the server sends before its result. */
type RequestNotification =
  | { method: 'notifications/progress'; params: { progressToken: string | number; progress: number; message: string } }
  | { method: 'notifications/message'; params: { level: LogLevel; logger: string; data: Record<string, unknown> } }

/** The request of a tool call, as a protocol adapter passes it. */
export interface CallRequest {
  id: string
  /** Fires if the client cancels the request or is gone. */
  signal: AbortSignal
  /** Present if the client wants progress. */
  progressToken: string | number | undefined
  /** The least severe level that the client receives. Undefined: none. */
  logLevel: LogLevel | undefined
  /** Sends a message on the stream of this request. */
  notify: (notification: RequestNotification) => Promise<void>
  /**
   * Resolves when the client has handled the notifications so far, as well as that can be known. A client that receives
   * a notification and the result in one chunk drops the notification, because its request is already answered.
   */
  flush: () => Promise<void>
  /** Asks the user. */
  ask: (question: ApprovalQuestion, signal: AbortSignal) => Promise<Approval>
}
