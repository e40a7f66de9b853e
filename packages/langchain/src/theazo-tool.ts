import type { CallbackManagerForToolRun } from '@langchain/core/callbacks/manager'
import { type ContentBlock, ToolMessage } from '@langchain/core/messages'
import {
  DynamicStructuredTool,
  ToolInputParsingException,
  type ToolSchemaBase,
  type ToolRunnableConfig,
} from '@langchain/core/tools'
import type { TheazoError } from '@theazo/core'
import {
  type AnyTool,
  inputSchemaOf,
  modelText,
  parseToolInput,
  type ToolEvent,
  type ToolImage,
  type ToolResult,
  ToolInputError,
  type ToolSource,
  type ToolSources,
  unknownModel,
  withoutImages,
} from '@theazo/core/tools'
import { acceptsToolImages } from './accepts-tool-images.ts'
import { ChildRuns } from './child-runs.ts'
import { EventQueue } from './event-queue.ts'
import type { TheazoToolOptions } from './theazo-tool-options.ts'

/** In a graph, LangGraph sets the added fields. Without a graph, a tool call sets only `toolCall`; a plain input sets none. */
type CallConfig = ToolRunnableConfig & {
  toolCallId?: string
  state?: unknown
  /** Writes to the stream mode `custom`. */
  writer?: (chunk: unknown) => void
  /** Set if the node has an idle timeout, which events of the tool do not restart. */
  heartbeat?: () => void
}

/** Milliseconds between two signs of life. An idle timeout of a node is longer. */
const heartbeatMs = 500

/** A result as LangChain expects it: the content for the model, and the artifact. */
type Returned = [string | ContentBlock[] | ToolMessage, unknown]

/**
 * A tool of the catalog as a LangChain tool. {@link theazoTools} creates it.
 *
 * @example
 * ```ts
 * import { type TheazoTool, theazoTools } from '@theazo/langchain'
 *
 * const tools: TheazoTool[] = theazoTools({ userId: 'user_123' })
 * const byName = new Map(tools.map((tool) => [tool.name, tool]))
 * await byName.get('run_code')?.invoke({ language: 'python', code: 'print(2 + 2)' })
 * ```
 */
// A subclass because LangChain's tool() leaks an abort listener at each call, and a call takes six times as long.
export class TheazoTool extends DynamicStructuredTool {
  readonly #parse: (input: unknown) => Record<string, unknown>

  constructor(tool: AnyTool, sources: ToolSources<ToolRunnableConfig>, options: TheazoToolOptions = {}) {
    const schema = inputSchemaOf(tool, { isStrict: true })
    super({
      name: tool.name,
      description: tool.description,
      schema: schema as ToolSchemaBase, // a plain JSON Schema, which LangChain's type describes more loosely
      responseFormat: 'content_and_artifact',
      func: (input: unknown, run?: CallbackManagerForToolRun, config: CallConfig = {}) => {
        return callOf(tool, { input, run, config, source: sources.of(config), options })
      },
    })
    this.#parse = (input) => {
      const parsed: Record<string, unknown> = parseToolInput(tool, input)
      // In the strict form of the schema no property may be omitted.
      return Object.fromEntries(schema.required.map((name) => [name, parsed[name] ?? null]))
    }
  }

  /** Every call starts here: the catalog parses the input leniently before LangChain validates it by the strict schema. */
  override async call(...[input, ...rest]: Parameters<DynamicStructuredTool['call']>): Promise<unknown> {
    return await super.call(this.#parseInput(input) as typeof input, ...rest)
  }

  #parseInput(input: unknown): Record<string, unknown> {
    try {
      return this.#parse(input)
    } catch (error) {
      if (!ToolInputError.isInstance(error)) throw error
      // The ToolNodes of LangChain and LangGraph return this error's message to the model, with any middleware.
      const fault = new ToolInputParsingException(error.message)
      fault.stack = fault.message // LangChain's agents also show the model the stack, which names files of the server
      throw fault
    }
  }
}

interface Call {
  input: unknown
  run: CallbackManagerForToolRun | undefined
  config: CallConfig
  source: ToolSource
  options: TheazoToolOptions
}

/** One call: a generator of its events if somebody listens, else a promise, which costs less. */
function callOf(tool: AnyTool, call: Call): AsyncGenerator<ToolEvent, Returned> | Promise<Returned> {
  return call.run || call.config.writer ? streamedCall(tool, call) : start(tool, call).then(returnedBy(tool, call))
}

/** Yields the events of a call while it runs, and returns its result. */
async function* streamedCall(tool: AnyTool, call: Call): AsyncGenerator<ToolEvent, Returned> {
  const { writer, heartbeat } = call.config
  const callId = callIdOf(call)
  const children = new ChildRuns(tool.title, call.input, {
    run: call.run,
    callId,
    mode: call.options.childRuns ?? 'hidden',
  })
  const events = new EventQueue()
  // Ends the work also if a callback or a consumer of the events throws.
  const left = new AbortController()
  const { signal } = call.config
  const config = { ...call.config, signal: signal ? AbortSignal.any([signal, left.signal]) : left.signal }
  const ended = start(tool, { ...call, config }, (event) => events.push(event)).finally(() => events.end())
  // Code that prints nothing is at work too.
  const beats = heartbeat && setInterval(heartbeat, heartbeatMs)
  ended.catch(() => {}) // it is awaited below; until then a rejection is not unhandled
  try {
    for await (const event of events) {
      writer?.({ toolCallId: callId, name: tool.name, event })
      await children.add(event)
      yield event
    }
    const result = await ended
    if (!result.isError) await children.end(result.data)
    return returnedBy(tool, call)(result)
  } finally {
    clearInterval(beats)
    events.end() // a reader that leaves must not hold up the call
    left.abort()
    await children.fail('The call ended before this run.')
  }
}

function start(
  tool: AnyTool,
  call: Call,
  onEvent?: (event: ToolEvent) => unknown,
): Promise<ToolResult<Record<string, unknown>>> {
  const { input, source, config, options } = call
  return tool.run(input, {
    ...source,
    signal: config.signal,
    callId: callIdOf(call),
    images: options.images ?? (acceptsToolImages(config.state) || unknownModel),
    onEvent,
  })
}

/** Turns the result of a tool into that of LangChain. It throws an error of the API only if the options say so. */
function returnedBy({ name }: AnyTool, call: Call): (result: ToolResult<object>) => Returned {
  return (result) => {
    if (!result.isError) return [contentOf(result), withoutImages(result.data)]
    if (call.options.onError === 'throw') throw result.error
    const callId = callIdOf(call)
    return [callId === undefined ? result.text : errorMessage(name, result, callId), undefined]
  }
}

function callIdOf({ config }: Call): string | undefined {
  return config.toolCall?.id ?? config.toolCallId
}

function contentOf({ text, images }: { text: string; images: ToolImage[] }): string | ContentBlock[] {
  if (images.length === 0) return text
  const blocks = images.map(({ mediaType, base64 }) => ({ type: 'image', mimeType: mediaType, data: base64 }))
  return [{ type: 'text', text }, ...blocks]
}

/** An API error as a message for the model. It is not thrown: with a `wrapToolCall` middleware, that would end the run. */
function errorMessage(
  name: string,
  { text, error }: { text: string; error: TheazoError },
  callId: string,
): ToolMessage {
  const { code, message, requestId, isRetryable } = error
  return new ToolMessage({
    status: 'error',
    name,
    content: text,
    artifact: { error: { code, message: modelText(message), ...(requestId && { requestId }), retryable: isRetryable } },
    tool_call_id: callId,
  })
}
