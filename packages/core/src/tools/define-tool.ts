import type { z } from 'zod/v4'
import { abortable } from '../transport/abortable.ts'
import { NotSupportedError, TheazoError } from '../errors.ts'
import { cleanData, cleanText, modelText } from './model-text.ts'
import type { ToolImage } from './tool-images.ts'
import { parseToolInput } from './tool-input.ts'
import type { AccountSource, SandboxSource, ToolAccount, ToolSandbox } from './tool-sandbox.ts'
import { toolErrorText } from './tool-error-text.ts'

/** What a tool does to the world, for approvals and MCP annotations. */
export interface ToolHints {
  /** Changes nothing. */
  readOnly: boolean
  /** May destroy something. */
  destructive: boolean
  /** Calling it again changes nothing more. */
  idempotent: boolean
  /** Reaches beyond the sandbox. */
  openWorld: boolean
}

/** What happens while a call runs: for a person who waits. Never the only place of anything. */
export interface ToolProgress {
  /** A piece of output, a thought, a tool call. */
  message: string
}

/** What a tool call is given beside its input. */
export interface ToolCallOptions {
  sandbox: SandboxSource
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Called as things happen, in order and awaited. */
  report?: ((progress: ToolProgress) => unknown) | undefined
  /** The framework's id of this call. */
  callId?: string | undefined
  /** For the tools that look at usage or make agents. */
  account?: AccountSource | undefined
  /** False, or the reason: images are named and not shown. Default true. */
  images?: boolean | string | undefined
}

/** The options of a call as the tool itself sees them. */
export interface ToolContext extends Omit<ToolCallOptions, 'sandbox' | 'account' | 'images'> {
  sandbox: ToolSandbox
  /** @throws {NotSupportedError} with a text for the model, if the caller gave no account. */
  account: () => Promise<ToolAccount>
  /** Why images are not shown; undefined if they are. */
  imagesOff: string | undefined
}

/** A tool's answer: text and images for the model, data for programs. */
export type ToolResult<Data> =
  | { isError: false; text: string; images: ToolImage[]; data: Data }
  | { isError: true; text: string; error: TheazoError }

/** The parts of a tool. Descriptions are prompt text: written once, here, for every framework. */
export interface ToolDefinition<Name extends string, Input, Data> {
  name: Name
  title: string
  description: string
  /** Strings, enums, bounded integers and booleans only; optional, never defaulted; each described with its bounds. */
  input: z.ZodType<Input>
  /** Other words for the values of an enum, by field. */
  aliases?: Record<string, Record<string, string>>
  /** Shape of `data`; loose enough that no result fails it. */
  output: z.ZodType<Data>
  hints: ToolHints
  /** Does the work on input that was checked. API errors may be thrown. */
  run: (input: Input, context: ToolContext) => Promise<Data>
  /** Puts a result into words for the model. Pure: a framework may call it again on data from its history. */
  toText: (data: Data) => string
  /** The images of a result. Pure as well. */
  toImages?: (data: Data) => ToolImage[]
}

/** A tool of the catalog, ready for a framework to wrap. */
export interface Tool<Name extends string, Input, Data> extends Omit<ToolDefinition<Name, Input, Data>, 'run'> {
  /**
   * Checks the input and runs the tool. A wrong input and a fault of the API come back as a result with `isError`, its
   * text written for the model. An abort rejects with the signal's reason, and so does every error that is not the API's.
   */
  run: (input: Input, options: ToolCallOptions) => Promise<ToolResult<Data>>
}

/**
 * Makes a tool that every adapter can offer.
 *
 * @example
 * ```ts
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
    const { notice } = data as Noticed
    return withNotice(notice, modelText(definition.toText(data)))
  }
  return {
    ...definition,
    toText,
    async run(input, { sandbox: source, account, images = true, report, ...options }) {
      const { signal } = options
      signal?.throwIfAborted()
      let sandbox: ToolSandbox | undefined
      let letGo: (() => void) | undefined
      try {
        const checked = parseToolInput(definition, input)
        // A sandbox that is still being made then is not lost: its pool keeps it for the next call.
        sandbox = typeof source === 'function' ? await abortable(source(), signal) : source
        letGo = sandbox.hold?.()
        signal?.throwIfAborted()
        const context = {
          ...options,
          sandbox,
          imagesOff: images === true ? undefined : images === false ? 'images are switched off here' : images,
          report: reporter(report),
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
        letGo?.()
      }
    },
  }
}

/** What a call adds to the data of its tool if the sandbox is another one than before, or was paused. */
interface Noticed {
  notice?: string
}

function withNotice(notice: string | undefined, text: string): string {
  return notice === undefined ? text : modelText(`[${notice}]\n${text}`)
}

function reporter(report: ToolCallOptions['report']): ToolCallOptions['report'] {
  return report && (({ message }) => report({ message: cleanText(message) }))
}

function accountOf(
  account: AccountSource | undefined,
  { name }: { name: string },
  signal: AbortSignal | undefined,
): ToolContext['account'] {
  return async () => {
    const found = typeof account === 'function' ? await abortable(account(), signal) : account
    return needed(found, name, 'an account')
  }
}

/**
 * A part of the context that not every caller gives.
 *
 * @throws {NotSupportedError} with a text for the model, if it is missing.
 */
export function needed<Part>(part: Part | undefined, tool: string, what: string): Part {
  if (part !== undefined) return part
  throw new NotSupportedError(`${tool} is not available here: it needs ${what}.`, { code: 'not_supported' })
}
