import type { UIMessage } from 'ai'
import { markersOf } from './run-marker.ts'
import type { TheazoUIMessage } from './ui-message.ts'

/** Where the stream of an unfinished run continues. */
export interface ResumePoint {
  taskId: string
  /** For `Agent.attach`. */
  lastEventId: string
  /** The message without its incomplete part, which is sent again. */
  message: TheazoUIMessage
}

/**
 * The point from which `toUIMessageStream` continues a message whose stream was cut; undefined if the message is not of a
 * run, or the run has ended.
 *
 * Call it only with a message that your server stored: the task id in a browser's message may belong to another user.
 *
 * It needs a server that replays events. Show the returned message in place of the old one, so that nothing is doubled.
 *
 * @example
 * ```ts
 * import { resumePoint, type TheazoUIMessage, toUIMessageStream } from '@theazo/ai-sdk'
 * import type { Agent } from '@theazo/core'
 * import { createUIMessageStreamResponse } from 'ai'
 *
 * export function continued(stored: TheazoUIMessage, agent: Agent): Response {
 *   const point = resumePoint(stored)
 *   if (!point) return new Response(null, { status: 204 })
 *   const run = agent.attach(point.taskId, { lastEventId: point.lastEventId })
 *   return createUIMessageStreamResponse({ stream: toUIMessageStream(run, { message: point.message }) })
 * }
 * ```
 */
export function resumePoint(message: UIMessage): ResumePoint | undefined {
  const { metadata, parts } = message as TheazoUIMessage // only its own fields are read, each after a check
  const taskId = metadata?.theazo?.taskId
  if (typeof taskId !== 'string') return undefined
  const isOver = parts.some((part) => {
    return part.type === 'data-theazo-task' && part.data.taskId === taskId && finalStatuses.has(part.data.status)
  })
  if (isOver) return undefined
  const complete = parts.filter((part) => !isSentAgain(part))
  const ids = complete.flatMap((part) => markersOf(part)).filter((marker) => marker.taskId === taskId)
  // Event ids are the numbers of an agent's log (contract, Events).
  const last = Math.max(
    0,
    ...ids.flatMap(({ eventId }) => (Number.isSafeInteger(Number(eventId)) ? [Number(eventId)] : [])),
  )
  return { taskId, lastEventId: String(last), message: { ...message, parts: complete } as TheazoUIMessage }
}

/** Text and thoughts carry their event only at their end; a call that was made for its result carries none before it. */
function isSentAgain(part: TheazoUIMessage['parts'][number]): boolean {
  if (!('state' in part)) return false
  if (part.type !== 'dynamic-tool') return part.state === 'streaming'
  return part.state === 'input-available' && markersOf(part).some(({ eventId }) => eventId === undefined)
}

const finalStatuses: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled'])
