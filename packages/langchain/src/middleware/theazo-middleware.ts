import { AIMessage, SystemMessage } from '@langchain/core/messages'
import { AsyncLocalStorageProviderSingleton } from '@langchain/core/singletons'
import type { ToolRunnableConfig } from '@langchain/core/tools'
import { ConfigurationError, TheazoError } from '@theazo/core'
import { configurationError, costText, type ToolSource, ToolSources } from '@theazo/core/tools'
import { type AgentMiddleware, createMiddleware } from 'langchain'
import { z } from 'zod'
import { repairToolCalls } from '../repair-tool-calls.ts'
import { type TheazoToolsOptions, toolsOf } from '../tools.ts'
import { spentCents } from './spent-cents.ts'
import { systemPrompt } from './system-prompt.ts'

/** Options of {@link theazoMiddleware}: those of `theazoTools`, and the lifecycle of the sandbox. */
export interface TheazoMiddlewareOptions extends TheazoToolsOptions {
  /** The paragraph about the computer that is added to the system prompt; false for none. Default: a short one. */
  systemPrompt?: string | false | undefined
  /**
   * Cents that the user's sandboxes may cost during one run of the agent. If they have cost as much, or if the server does
   * not say what they cost, the run ends with a message, before the next call of the model. Default: no limit but the
   * session's cap.
   */
  maxCostCents?: number | undefined
  /**
   * What happens with the sandbox when a run of the agent completes: `keep` (default), `pause` or `terminate`. It ends for
   * all runs that share it, unless a tool call of this process uses it at that moment: give each thread a sandbox of its
   * own by the option `sandbox`. An aborted or interrupted run does not complete. The server terminates a sandbox 30
   * minutes after its last use.
   */
  onEnd?: 'keep' | 'pause' | 'terminate' | undefined
}

const stateSchema = z.object({
  /**
   * Cents that the session had cost at the start of the run; null until the first call of the model. The underscore makes
   * it private to this middleware.
   */
  _theazoCentsAtStart: z.number().nullable().optional(),
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
  const { onEnd = 'keep', maxCostCents: limit, prefix = '' } = options
  assertOptions(options)
  const sources = new ToolSources<ToolRunnableConfig>(options)
  const tools = toolsOf(sources, options)
  const paragraph = options.systemPrompt === false ? '' : (options.systemPrompt ?? systemPrompt(tools))
  return createMiddleware({
    name: `TheazoMiddleware${prefix && ` ${prefix}`}`, // an agent may have two, with different prefixes
    stateSchema,
    tools,
    beforeAgent: () => (limit === undefined ? undefined : { _theazoCentsAtStart: null }),
    beforeModel: {
      canJumpTo: ['end'],
      async hook({ _theazoCentsAtStart: before }, { signal }) {
        if (limit === undefined) return undefined
        const source = sources.of(currentConfig())
        const spent = await spentOr(source, signal)
        if (typeof spent === 'number' && typeof before !== 'number') return { _theazoCentsAtStart: spent }
        const text = typeof spent === 'number' ? limitText(spent - (before ?? 0), limit) : spent
        if (text === undefined) return undefined
        await end(source, onEnd) // the jump leaves out afterAgent
        return { messages: [new AIMessage(text)], jumpTo: 'end' as const }
      },
    },
    async wrapModelCall(request, handler) {
      const systemMessage = withParagraph(request.systemMessage, paragraph)
      return await handler({ ...request, systemMessage, messages: repairToolCalls(request.messages) })
    },
    async afterAgent() {
      await end(sources.of(currentConfig()), onEnd)
    },
  })
}

/** The whole config of the run. A hook receives only a part of it. */
function currentConfig(): ToolRunnableConfig {
  return AsyncLocalStorageProviderSingleton.getRunnableConfig() ?? {}
}

/** The cents that the session has cost, or the text that ends the run if the server does not say. */
async function spentOr(source: ToolSource, signal: AbortSignal | undefined): Promise<number | string> {
  try {
    return await spentCents(source, signal)
  } catch (error) {
    if (signal?.aborted || !TheazoError.isInstance(error) || ConfigurationError.isInstance(error)) throw error
    return 'I stopped: this run has a spending limit, and the server does not say what the sandbox has cost.'
  }
}

function limitText(spent: number, limit: number): string | undefined {
  if (spent < limit) return undefined
  return (
    `I stopped: the sandbox has cost ${costText({ amount: spent, currency: 'usd' })} in this run, and its limit is ${costText({ amount: limit, currency: 'usd' })}. ` +
    'A new message starts a run with the full limit.'
  )
}

/** Ends the sandbox of a completed run. A fault does not end the run: the server ends the sandbox when it is idle. */
async function end(source: ToolSource, action: 'keep' | 'pause' | 'terminate'): Promise<void> {
  if (action === 'keep') return
  try {
    await source.endIfUnused?.(action)
  } catch (error) {
    if (!TheazoError.isInstance(error)) throw error
  }
}

function withParagraph(message: SystemMessage, paragraph: string): SystemMessage {
  if (paragraph === '') return message
  return message.text === '' ? new SystemMessage(paragraph) : message.concat(`\n\n${paragraph}`)
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
