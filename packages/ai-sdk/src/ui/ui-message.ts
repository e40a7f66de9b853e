import type { Money } from '@theazo/core'
import type { InferUIMessageChunk, InferUITools, UIMessage, UITools } from 'ai'
import type { TheazoToolSet } from '../tool-set.ts'

/** The status of a task in a message. The last three are final. */
type TaskPartStatus = 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'

/**
 * The data parts of a message that `toUIMessageStream` writes: `data-theazo-task`, `data-theazo-usage`, and for `onData`
 * alone `data-theazo-log`.
 *
 * @example
 * ```ts
 * import type { TheazoDataParts } from '@theazo/ai-sdk'
 *
 * export const isOver = ({ status }: TheazoDataParts['theazo-task']): boolean => /completed|failed|cancelled/.test(status)
 * ```
 */
export type TheazoDataParts = {
  /**
   * The task of the message. `code` tells why it failed; `reason` tells why it is paused; `hasGap` tells that the server
   * could not replay some events after a lost connection.
   */
  'theazo-task': { taskId: string; status: TaskPartStatus; code?: string; reason?: string; hasGap?: true }
  'theazo-usage': { cost: Money }
  /** An event that this version does not know. It is transient: messages never contain it. */
  'theazo-log': { event: string; data?: unknown }
}

/** The metadata of a message that `toUIMessageStream` writes. */
export interface TheazoMetadata {
  theazo?: { taskId?: string; cost?: Money }
}

/**
 * A message of a chat with the tools of `theazoTools` and the runs of `toUIMessageStream`. Its tool parts are typed:
 * `tool-run_code`, `tool-write_file`, …
 *
 * @example
 * ```ts
 * import type { TheazoUIMessage } from '@theazo/ai-sdk'
 *
 * export function costOf(message: TheazoUIMessage): number {
 *   return message.metadata?.theazo?.cost?.amount ?? 0 // cents
 * }
 * ```
 */
export type TheazoUIMessage<Tools extends UITools = InferUITools<TheazoToolSet>> = UIMessage<
  TheazoMetadata,
  TheazoDataParts,
  Tools
>

/** A chunk of the stream of such a message. */
export type TheazoUIMessageChunk = InferUIMessageChunk<TheazoUIMessage>
