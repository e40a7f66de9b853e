import { ToolMessage } from '@langchain/core/messages'
import type { ToolDataOf, ToolInputOf, ToolName } from '@theazo/core/tools'

/**
 * The data of a tool's result, typed. The artifact of a `ToolMessage` has no type of its own.
 *
 * @param name the tool's name in the catalog.
 * @param prefix the option `prefix` of the tools. Default: none.
 * @returns undefined if the message is not a result of this tool, or is an error.
 * @example
 * ```ts
 * import { artifactOf, theazoTools } from '@theazo/langchain'
 * import { createAgent } from 'langchain'
 *
 * const assistant = createAgent({ model: 'anthropic:claude-sonnet-5-5', tools: theazoTools({ userId: 'user_123' }) })
 * const { messages } = await assistant.invoke({ messages: 'Compute the 1,000th prime number.' })
 * const exitCodes = messages.map((message) => artifactOf(message, 'run_code')?.exitCode)
 * ```
 */
export function artifactOf<Name extends ToolName>(
  message: unknown,
  name: Name,
  prefix = '',
): ToolDataOf<Name> | undefined {
  if (!ToolMessage.isInstance(message) || message.status === 'error' || message.name !== prefix + name) return undefined
  return message.artifact as ToolDataOf<Name> | undefined // the artifact of a result is the tool's data
}

/**
 * The input of a tool call, typed, as the model wrote it: it is not validated yet.
 *
 * @param name the tool's name in the catalog.
 * @param prefix the option `prefix` of the tools. Default: none.
 * @returns undefined if the call is of another tool.
 * @example
 * ```ts
 * import { inputOf } from '@theazo/langchain'
 *
 * const call = { name: 'run_code', args: { language: 'bash', code: 'ls' } }
 * const code = inputOf(call, 'run_code')?.code
 * ```
 */
export function inputOf<Name extends ToolName>(
  call: { name: string; args: Record<string, unknown> },
  name: Name,
  prefix = '',
): Partial<ToolInputOf<Name>> | undefined {
  return call.name === prefix + name ? (call.args as Partial<ToolInputOf<Name>>) : undefined // Partial: not validated yet
}
