import { AIMessage, type BaseMessage, ToolMessage } from '@langchain/core/messages'
import type { ToolRunnableConfig } from '@langchain/core/tools'
import { type ToolSandbox, type ToolSource, ToolSources } from '@theazo/core/tools'
import { type AgentMiddleware, createMiddleware } from 'langchain'
import { z } from 'zod'
import { configurationError } from '../configuration-error.ts'
import { repairToolCalls } from '../repair-tool-calls.ts'
import { type TheazoToolsOptions, toolsOf } from '../tools.ts'
import { spentCents } from './spent-cents.ts'
import { systemPrompt } from './system-prompt.ts'

/** Options of {@link theazoMiddleware}: those of `theazoTools`, and the lifecycle of the sandbox. */
export interface TheazoMiddlewareOptions extends TheazoToolsOptions {
  /** The paragraph about the computer that is added to the system prompt; false for none. Default: a short one. */
  systemPrompt?: string | false | undefined
  /**
   * Cents that the user's sandboxes may cost during one run of the agent. If they have cost as much, the run ends with a
   * message, before the next call of the model. Default: no limit but the session's cap.
   */
  maxCostCents?: number | undefined
  /**
   * What happens with the sandbox when a run of the agent completes: `keep` (default), `pause` or `terminate`. An aborted
   * or interrupted run does not complete. The server terminates a sandbox 30 minutes after its last use.
   */
  onEnd?: 'keep' | 'pause' | 'terminate' | undefined
}

const stateSchema = z.object({
  /** Cents that the session had cost at the start of the run. The underscore makes it private to this middleware. */
  _theazoCentsAtStart: z.number().optional(),
})

/**
 * Creates a middleware that gives an agent a computer: the Theazo tools, a paragraph about the computer in the system
 * prompt, a spending limit for each run, and a history that providers accept after an abort or a rejected approval.
 *
 * @throws {ConfigurationError} for the options of `theazoTools`, or if `onEnd` is given for an `agent` of yours.
 * @example
 * ```ts
 * import { theazoMiddleware } from '@theazo/langchain/middleware'
 * import { createAgent } from 'langchain'
 *
 * const computer = theazoMiddleware({ userId: 'user_123', maxCostCents: 50 })
 * const assistant = createAgent({ model: 'anthropic:claude-sonnet-5-5', middleware: [computer] })
 * const { messages } = await assistant.invoke({ messages: 'Compute the 1,000th prime number.' })
 * ```
 */
export function theazoMiddleware(options: TheazoMiddlewareOptions = {}): AgentMiddleware {
  const { onEnd = 'keep', maxCostCents } = options
  assertOptions(options)
  const sources = new ToolSources<ToolRunnableConfig>(options)
  const tools = toolsOf(sources, options)
  const names = new Set(tools.map(({ name }) => name))
  const paragraph = options.systemPrompt === false ? '' : (options.systemPrompt ?? systemPrompt(tools))
  return createMiddleware({
    name: 'TheazoMiddleware',
    stateSchema,
    tools,
    async beforeAgent(_state, runtime) {
      if (maxCostCents === undefined) return undefined
      return { _theazoCentsAtStart: await spentCents(sourceOf(runtime), runtime.signal) }
    },
    beforeModel: {
      canJumpTo: ['end'],
      async hook({ _theazoCentsAtStart: before = 0 }, runtime) {
        if (maxCostCents === undefined) return undefined
        const spent = (await spentCents(sourceOf(runtime), runtime.signal)) - before
        if (spent < maxCostCents) return undefined
        return { messages: [new AIMessage(limitText(spent, maxCostCents))], jumpTo: 'end' as const }
      },
    },
    async wrapModelCall(request, handler) {
      const systemMessage = paragraph === '' ? request.systemMessage : request.systemMessage.concat(`\n\n${paragraph}`)
      return await handler({ ...request, systemMessage, messages: repairToolCalls(request.messages) })
    },
    async afterAgent({ messages }, runtime) {
      if (onEnd === 'keep' || !hasUsed(names, messages)) return
      const { sandbox } = sourceOf(runtime)
      await end(typeof sandbox === 'function' ? await sandbox() : sandbox, onEnd)
    },
  })

  function sourceOf({ configurable, context }: { configurable?: unknown; context?: unknown }): ToolSource {
    return sources.of({ configurable, context } as ToolRunnableConfig) // the fields that identify a user or a thread
  }
}

function assertOptions({ onEnd = 'keep', maxCostCents, agent }: TheazoMiddlewareOptions): void {
  if (maxCostCents !== undefined && !(typeof maxCostCents === 'number' && maxCostCents > 0)) {
    throw configurationError('maxCostCents must be a number of cents above 0.')
  }
  if (!['keep', 'pause', 'terminate'].includes(onEnd)) {
    throw configurationError(`onEnd must be 'keep', 'pause' or 'terminate', not ${JSON.stringify(onEnd)}.`)
  }
  if (agent !== undefined && onEnd !== 'keep') {
    throw configurationError('onEnd is not valid with agent: that sandbox is yours to end.')
  }
}

/** True if the current run, which begins at the last human message, has called one of the tools. */
function hasUsed(names: ReadonlySet<string>, messages: readonly BaseMessage[]): boolean {
  const start = messages.findLastIndex(({ type }) => type === 'human')
  return messages.slice(start + 1).some((message) => ToolMessage.isInstance(message) && names.has(message.name ?? ''))
}

async function end(sandbox: ToolSandbox, action: 'pause' | 'terminate'): Promise<void> {
  if (action === 'pause') await sandbox.pause?.()
  else await sandbox.terminate?.()
}

function limitText(spent: number, limit: number): string {
  return (
    `I stopped: the sandbox has cost ${dollars(spent)} in this run, and its limit is ${dollars(limit)}. ` +
    'The work so far is kept. A new message starts a run with the full limit.'
  )
}

function dollars(cents: number): string {
  return `$${(cents / 100).toFixed(2)}`
}
