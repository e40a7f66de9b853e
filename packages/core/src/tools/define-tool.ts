import type { z } from 'zod'
import { NotSupportedError, TheazoError } from '../errors.ts'
import type { SandboxSource, ToolAccount, ToolSandbox } from './tool-sandbox.ts'

/** What a tool does to the world, for approvals and MCP annotations. */
export interface ToolHints {
  /** Changes nothing. */
  readOnly: boolean
  /** May destroy what was there. */
  destructive: boolean
  /** Calling it again changes nothing more. */
  idempotent: boolean
  /** Reaches beyond the sandbox. */
  openWorld: boolean
}

/** How far a call is: for a person who waits. Never the only place of anything. */
export interface ToolProgress {
  /** What has just happened: a piece of output, a thought, a tool call. */
  message: string
}

/** What a tool call is given beside its input. */
export interface ToolCallOptions {
  sandbox: SandboxSource
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Told as things happen, in order and awaited. */
  report?: ((progress: ToolProgress) => unknown) | undefined
  /** The framework's id of this call. */
  callId?: string | undefined
  /** For the tools that look at usage or make agents. */
  account?: ToolAccount | undefined
}

/** The same as the tool itself sees it. */
export interface ToolContext extends ToolCallOptions {
  sandbox: ToolSandbox
}

/** A picture in a result, for the model to look at. */
export interface ToolImage {
  path: string
  mediaType: string
  base64: string
}

/** A tool's answer: text and pictures for the model, data for programs. */
export type ToolResult<Data> =
  | { isError: false; text: string; images: ToolImage[]; data: Data }
  | { isError: true; text: string; error: TheazoError }

/** What a tool is made of. Descriptions are prompt text: written once, here, for every framework. */
export interface ToolDefinition<Name extends string, Input, Data> {
  name: Name
  title: string
  description: string
  /** Strings, enums, bounded integers and booleans only; optional, never defaulted. The same to every provider. */
  input: z.ZodType<Input>
  /** Shape of `data`; loose enough that no result fails it. */
  output: z.ZodType<Data>
  hints: ToolHints
  /** Does the work on input that was validated. API errors may be thrown. */
  run: (input: Input, context: ToolContext) => Promise<Data>
  /** Says a result to the model. Pure: a framework may call it again on data from its history. */
  toText: (data: Data) => string
  /** The pictures of a result. Pure as well. */
  toImages?: (data: Data) => ToolImage[]
}

/** A tool of the catalog, ready for a framework to wrap. */
export interface Tool<Name extends string, Input, Data> extends Omit<ToolDefinition<Name, Input, Data>, 'run'> {
  /**
   * Runs the tool. Faults of the API come back as a result with `isError`, its text written for the model; an abort
   * rejects with the signal's reason, and so does every error that is not the API's.
   */
  run: (input: Input, options: ToolCallOptions) => Promise<ToolResult<Data>>
}

/** What a model did wrong with a tool; the message tells it how to do better. */
export class ToolInputError extends TheazoError {
  static override readonly className = 'ToolInputError'
  declare readonly name: 'ToolInputError'

  constructor(message: string) {
    super(message, { code: 'tool_input' })
  }
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
export function defineTool<Name extends string, Input, Data>(
  definition: ToolDefinition<Name, Input, Data>,
): Tool<Name, Input, Data> {
  return {
    ...definition,
    async run(input, { sandbox: source, ...options }) {
      const { signal } = options
      signal?.throwIfAborted()
      try {
        const sandbox = typeof source === 'function' ? await source() : source
        signal?.throwIfAborted()
        const data = await definition.run(input, { ...options, sandbox })
        const images = definition.toImages?.(data) ?? []
        return { isError: false, text: definition.toText(data), images, data }
      } catch (error) {
        if (signal?.aborted || !TheazoError.isInstance(error)) throw error
        return { isError: true, text: errorText(error), error }
      }
    },
  }
}

/**
 * A part of the context that not every caller gives.
 *
 * @throws {NotSupportedError} with a text for the model, where it is not there.
 */
export function needed<Part>(part: Part | undefined, tool: string, what: string): Part {
  if (part !== undefined) return part
  throw new NotSupportedError(`${tool} is not available here: it needs ${what}.`, { code: 'not_supported' })
}

/** Says what happened and what to do about it; a model reads this and acts on it. */
function errorText(error: TheazoError): string {
  if (ToolInputError.isInstance(error)) return error.message
  const isFile = error.code.startsWith('file_')
  const advice =
    adviceByCode[error.code] ??
    (error.isRetryable ? 'You may try once more.' : isFile ? 'Check the path with list_files.' : 'Do not retry as is.')
  return `${error.name} (${error.code}): ${error.message}\n${advice}`
}

const adviceByCode: Record<string, string> = {
  session_limit_exceeded: 'A limit set by the owner is reached. Stop using this tool and tell the user.',
  unauthorized: 'The API key is wrong: only the owner can mend this. Stop using this tool and tell the user.',
  forbidden: 'The API key lacks the permission: only the owner can mend this. Stop using this tool and tell the user.',
  not_found: 'The sandbox is gone with its files. Tell the user.',
  not_supported: 'Stop using this tool; do the work another way.',
  timeout: 'The code ran too long and was killed; files it wrote are kept. Split the work into shorter steps.',
  client_timeout: 'The code ran too long and was killed; files it wrote are kept. Split the work into shorter steps.',
  file_too_large: 'Read a part of it with run_code.',
}
