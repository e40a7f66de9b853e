import { type AnyTool, selectTools, type ToolName } from '@theazo/core/tools'

/** A call of the model, before it runs. */
export interface ToolCallToApprove {
  toolName: ToolName
  /**
   * The parsed input; if it is invalid, the model's own. Paths are not resolved: `secret/a`, `~/a` and
   * `sandbox:/workspace/secret/a` arrive as the model wrote them.
   */
  input: unknown
  /** The tool changes nothing. */
  readOnly: boolean
}

/**
 * Which calls a user must approve: `none`; `writes`, those of tools that may change something; `all`; or a function that
 * returns true for a call to approve.
 */
export type ApprovalRule = 'none' | 'writes' | 'all' | ((call: ToolCallToApprove) => boolean | PromiseLike<boolean>)

/**
 * Makes the `toolApproval` of AI SDK 7, for `generateText`, `streamText` and `ToolLoopAgent`. On AI SDK 6 pass the rule to
 * `theazoTools` as `approval`.
 *
 * A browser may change the input of a call before it approves it. Set `experimental_toolApprovalSecret`, so that the AI
 * SDK refuses such an approval.
 *
 * @example
 * ```ts
 * import { theazoApproval, theazoTools } from '@theazo/ai-sdk'
 * import { type LanguageModel, streamText } from 'ai'
 *
 * export const answer = (model: LanguageModel, prompt: string, secret: string) => streamText({
 *   model,
 *   prompt,
 *   tools: theazoTools({ userId: 'user_123', model }),
 *   toolApproval: theazoApproval(({ toolName }) => toolName === 'delete_file'),
 *   experimental_toolApprovalSecret: secret, // random, and the same in each process of your server
 * })
 * ```
 */
export function theazoApproval(
  rule: ApprovalRule,
): Record<ToolName, (input: unknown) => Promise<'user-approval' | 'not-applicable'>> {
  const entries = selectTools({ groups: 'all' }).map((tool) => {
    const isNeeded = approvalOf(tool, rule)
    const status = async (input: unknown) => {
      return (await (typeof isNeeded === 'function' ? isNeeded(input) : isNeeded)) ? 'user-approval' : 'not-applicable'
    }
    return [tool.name, status]
  })
  return Object.fromEntries(entries) as ReturnType<typeof theazoApproval> // selectTools returns every tool
}

/** Whether calls of this tool need approval: the `needsApproval` of a tool of AI SDK 6. */
export function approvalOf(
  { name, hints: { readOnly } }: AnyTool,
  rule: ApprovalRule,
): boolean | ((input: unknown) => boolean | PromiseLike<boolean>) {
  if (typeof rule !== 'function') return rule === 'all' || (rule === 'writes' && !readOnly)
  return (input) => rule({ toolName: name as ToolName, input, readOnly }) // every tool of the catalog has such a name
}
