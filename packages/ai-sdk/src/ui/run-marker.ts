import type { UIMessage } from 'ai'

/**
 * The mark of a part that belongs to a run: the task, and the event after which the part was complete. It is in the part's
 * provider metadata, because that is the one field which text, reasoning and tool parts share.
 */
export interface RunMarker {
  taskId: string
  eventId?: string
  /** The remote agent's id of a call, if it made several calls with that id. */
  callId?: string
}

/** The provider metadata of a part of a run. */
export function markerMetadata(
  taskId: string,
  eventId: string | undefined,
  callId?: string,
): { theazo: { taskId: string; eventId?: string; callId?: string } } {
  if (callId !== undefined) return { theazo: { taskId, ...(eventId !== undefined && { eventId }), callId } }
  return { theazo: eventId === undefined ? { taskId } : { taskId, eventId } } // the usual cases, without a spread
}

/** The marks of a part: of a tool part one for the call and one for the result. Empty if it belongs to no run. */
export function markersOf(part: UIMessage['parts'][number]): RunMarker[] {
  const { providerMetadata, callProviderMetadata, resultProviderMetadata } = part as Record<
    string,
    { theazo?: Partial<RunMarker> } | undefined
  > // each kind of part has some of these fields
  return [providerMetadata, callProviderMetadata, resultProviderMetadata].flatMap((metadata) => {
    const { taskId, eventId, callId } = metadata?.theazo ?? {}
    return typeof taskId === 'string' ? [{ taskId, ...(eventId && { eventId }), ...(callId && { callId }) }] : []
  })
}

/** True if the part takes the place of the text since the last tool call. */
export function isRestartOf(part: UIMessage['parts'][number]): boolean {
  return part.type === 'text' && part.providerMetadata?.['theazo']?.['isRestart'] === true
}

/** True if the part belongs to the run of this task. */
export function isOfTask(part: UIMessage['parts'][number], taskId: string): boolean {
  return markersOf(part).some((marker) => marker.taskId === taskId)
}
