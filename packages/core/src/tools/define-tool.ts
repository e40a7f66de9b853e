import type { z } from 'zod'
import { TheazoError } from '../errors.ts'
import type { SandboxSource, ToolSandbox } from './tool-sandbox.ts'

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

/** What a tool call is given beside its input. */
export interface ToolCallOptions {
  sandbox: SandboxSource
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** The same as the tool itself sees it. */
export interface ToolContext extends ToolCallOptions {
  sandbox: ToolSandbox
}

/** A tool's answer: text for the model, data for programs. */
export type ToolResult<Data> =
  | { isError: false; text: string; data: Data }
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
}

/** A tool of the catalog, ready for a framework to wrap. */
export interface Tool<Name extends string, Input, Data> extends Omit<ToolDefinition<Name, Input, Data>, 'run'> {
  /**
   * Runs the tool. Faults of the API come back as a result with `isError`, its text written for the model; an abort
   * rejects with the signal's reason, and so does every error that is not the API's.
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
export function defineTool<Name extends string, Input, Data>(
  definition: ToolDefinition<Name, Input, Data>,
): Tool<Name, Input, Data> {
  return {
    ...definition,
    async run(input, { sandbox: source, signal }) {
      signal?.throwIfAborted()
      try {
        const sandbox = typeof source === 'function' ? await source() : source
        signal?.throwIfAborted()
        const data = await definition.run(input, { sandbox, signal })
        return { isError: false, text: definition.toText(data), data }
      } catch (error) {
        if (signal?.aborted || !TheazoError.isInstance(error)) throw error
        return { isError: true, text: errorText(error), error }
      }
    },
  }
}

/** Says what happened and what to do about it; a model reads this and acts on it. */
function errorText(error: TheazoError): string {
  const advice = adviceByCode[error.code] ?? (error.isRetryable ? 'You may try once more.' : 'Do not retry as is.')
  return `${error.name} (${error.code}): ${error.message}\n${advice}`
}

const adviceByCode: Record<string, string> = {
  session_limit_exceeded: 'A limit set by the owner is reached. Stop using this tool and tell the user.',
  unauthorized: 'The API key is wrong: only the owner can mend this. Stop using this tool and tell the user.',
  forbidden: 'The API key lacks the permission: only the owner can mend this. Stop using this tool and tell the user.',
  not_found: 'The sandbox is gone with its files. Tell the user.',
  timeout: 'The code ran too long and was killed; files it wrote are kept. Split the work into shorter steps.',
  client_timeout: 'The code ran too long and was killed; files it wrote are kept. Split the work into shorter steps.',
}
