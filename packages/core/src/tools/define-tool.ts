import type { z } from 'zod/v4'
import { abortable } from '../transport/abortable.ts'
import { isThenable } from '../transport/is-thenable.ts'
import { NotSupportedError, TheazoError } from '../errors.ts'
import { cleanData, modelText } from './model-text.ts'
import type { ToolImage } from './tool-images.ts'
import { parseToolInput } from './tool-input.ts'
import type { AccountSource, SandboxSource, ToolAccount, ToolSandbox } from './tool-sandbox.ts'
import { toolErrorText } from './tool-error-text.ts'

/** The effects of a tool, for approvals and MCP annotations. */
export interface ToolHints {
  /** The tool changes nothing. */
  readOnly: boolean
  /** The tool may delete or overwrite something. */
  destructive: boolean
  /** A repeated call has no further effect. */
  idempotent: boolean
  /** The tool reaches systems outside the sandbox. */
  openWorld: boolean
}

/** An event of a running call, as JSON. `run_code` reports `stdout` and `stderr`; `run_task` reports the others. */
export type ToolEvent =
  | { type: 'stdout' | 'stderr'; text: string }
  /** Parts with the same `thoughtId` are one thought. */
  | { type: 'thinking'; text: string; thoughtId?: string | undefined }
  /** `isRestart`: the text since the last tool call no longer counts. */
  | { type: 'output_delta'; text: string; isRestart?: true | undefined }
  | { type: 'tool_call'; tool: string; callId?: string | undefined; input?: unknown }
  | { type: 'tool_result'; tool: string; callId?: string | undefined; output?: unknown; isError?: boolean | undefined }

/** Progress of a running call, for display to a person. The result contains everything that a model needs. */
export interface ToolProgress {
  /** A chunk of output, a thought, or the name of a called tool. */
  message: string
}

/** Options of a tool call. */
export interface ToolCallOptions {
  sandbox: SandboxSource
  /** Ends the call, which rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Called with progress while the tool runs, in order and awaited. */
  report?: ((progress: ToolProgress) => unknown) | undefined
  /** Called with the events of the tool while it runs, in order and awaited. */
  onEvent?: ((event: ToolEvent) => unknown) | undefined
  /** The framework's id of this call. */
  callId?: string | undefined
  /** For the tools that report usage, or create and list agents. */
  account?: AccountSource | undefined
  /** False, or a reason for the model: results name images and do not contain them. Default true. */
  images?: boolean | string | undefined
}

/** The options of a call, as the implementation of the tool receives them. */
export interface ToolContext extends Omit<ToolCallOptions, 'sandbox' | 'account' | 'images' | 'report' | 'onEvent'> {
  /** Reports an event to the caller; undefined if the caller has no callback for it. */
  report?: ((event: ToolEvent) => unknown) | undefined
  sandbox: ToolSandbox
  /** @throws {NotSupportedError} with a text for the model, if the caller gave no account. */
  account: () => Promise<ToolAccount>
  /** Why results must not contain images; undefined if they may. */
  imagesOff: string | undefined
}

/** The result of a tool call: text and images for the model, data for programs. */
export type ToolResult<Data> =
  | { isError: false; text: string; images: ToolImage[]; data: Data }
  | { isError: true; text: string; error: TheazoError }

/** The definition of a tool. Its description is part of the prompt, in every framework. */
export interface ToolDefinition<Name extends string, Input, Data> {
  name: Name
  title: string
  description: string
  /**
   * The schema of the input. It may have strings, enums, bounded integers and booleans. Fields may be optional, but must
   * not have defaults. The description of each field states its bounds.
   */
  input: z.ZodType<Input>
  /** Accepted synonyms for the values of an enum, by field: `{ language: { py: 'python' } }`. */
  aliases?: Record<string, Record<string, string>>
  /** The schema of `data`. It must allow unknown fields, so that the result of a newer server does not fail. */
  output: z.ZodType<Data>
  hints: ToolHints
  /** Does the work. The input is already checked. It may throw errors of the API. */
  run: (input: Input, context: ToolContext) => Promise<Data>
  /** The result as text for the model. It must be pure: a framework may call it again with data from its history. */
  toText: (data: Data) => string
  /** The images of a result. It must be pure too. */
  toImages?: (data: Data) => ToolImage[]
}

/** A tool of the catalog, ready for a framework to wrap. */
export interface Tool<Name extends string, Input, Data> extends Omit<ToolDefinition<Name, Input, Data>, 'run'> {
  /**
   * Checks the input and runs the tool. An invalid input and an error of the API become a result with `isError: true` and a
   * text for the model. An abort rejects with the signal's reason. Any other error is thrown unchanged.
   */
  run: (input: Input, options: ToolCallOptions) => Promise<ToolResult<Data>>
}

/**
 * Defines a tool that every adapter can offer.
 *
 * @example
 * ```ts
 * import { defineTool } from '@theazo/core/tools'
 * import { z } from 'zod/v4'
 *
 * const whoami = defineTool({
 *   name: 'whoami',
 *   title: 'Who am I',
 *   description: 'Prints the user name in the sandbox.',
 *   input: z.object({}),
 *   output: z.object({ user: z.string() }),
 *   hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
 *   async run(_input, { sandbox, signal }) {
 *     const { stdout } = await sandbox.exec('bash', 'id -un', { signal })
 *     return { user: stdout.trim() }
 *   },
 *   toText: ({ user }) => user,
 * })
 * ```
 */
export function defineTool<Name extends string, Input, Data extends object>(
  definition: ToolDefinition<Name, Input, Data>,
): Tool<Name, Input, Data> {
  const toText = (data: Data): string => {
    const { notice } = data as WithNotice
    return withNotice(notice, modelText(definition.toText(data)))
  }
  return {
    ...definition,
    toText,
    async run(input, { sandbox: source, account, images = true, report, onEvent, ...options }) {
      const { signal } = options
      signal?.throwIfAborted()
      let sandbox: ToolSandbox | undefined
      let release: (() => void) | undefined
      try {
        const checked = parseToolInput(definition, input)
        // After an abort, a sandbox that is still being created is not lost: the pool stores it for the next call.
        sandbox = typeof source === 'function' ? await abortable(source(), signal) : source
        release = sandbox.hold?.()
        signal?.throwIfAborted()
        const context = {
          ...options,
          sandbox,
          imagesOff: images === true ? undefined : images === false ? 'images are switched off here' : images,
          report: reporter(report, onEvent),
          account: accountOf(account, definition, signal),
        }
        const result = cleanData(await definition.run(checked, context))
        const notice = sandbox.takeNotice?.()
        const data = notice === undefined ? result : { ...result, notice }
        return { isError: false, text: toText(data), images: definition.toImages?.(data) ?? [], data }
      } catch (error) {
        if (signal?.aborted || !TheazoError.isInstance(error)) throw error
        const text = withNotice(sandbox?.takeNotice?.(), toolErrorText(error, definition.name))
        return { isError: true, text, error }
      } finally {
        release?.()
      }
    },
  }
}

/** The field that a call adds to the tool's data if the sandbox of earlier calls was replaced. */
interface WithNotice {
  notice?: string
}

function withNotice(notice: string | undefined, text: string): string {
  return notice === undefined ? text : modelText(`[${notice}]\n${text}`)
}

function reporter(report: ToolCallOptions['report'], onEvent: ToolCallOptions['onEvent']): ToolContext['report'] {
  if (!report && !onEvent) return undefined
  const reportMessage = (event: ToolEvent): unknown => {
    const message = report && messageOf(event)
    return message === undefined ? undefined : report?.({ message })
  }
  // A synchronous callback is not awaited: an output of many small chunks would take twice as long.
  return (reported) => {
    const event = cleanData(reported)
    const pending = onEvent?.(event)
    return isThenable(pending) ? Promise.resolve(pending).then(() => reportMessage(event)) : reportMessage(event)
  }
}

/** An event as a person reads it; undefined if it is not displayed. */
function messageOf(event: ToolEvent): string | undefined {
  switch (event.type) {
    case 'thinking':
      return event.thoughtId === undefined ? `${event.text}\n` : event.text
    case 'tool_call':
      return `calls ${event.tool}\n`
    case 'tool_result':
      return undefined
    default:
      return event.text
  }
}

function accountOf(
  account: AccountSource | undefined,
  { name }: { name: string },
  signal: AbortSignal | undefined,
): ToolContext['account'] {
  return async () => {
    const found = typeof account === 'function' ? await abortable(account(), signal) : account
    return requireCapability(found, name, 'an account')
  }
}

/**
 * Returns an optional part of the context, or of the sandbox, that a tool needs.
 *
 * @throws {NotSupportedError} with a text for the model, if the part is absent.
 */
export function requireCapability<Part>(part: Part | undefined, tool: string, what: string): Part {
  if (part !== undefined) return part
  throw new NotSupportedError(`${tool} is not available here: it needs ${what}.`, { code: 'not_supported' })
}
