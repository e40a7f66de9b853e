import type { AgentEvent } from '../streams/agent-events.ts'

/**
 * Reduces a batch to the events of one task, up to its last. It changes the batch in place: most batches have no other
 * events.
 *
 * @returns the last event of the run, if the batch has it.
 */
export function retainOwnEvents(batch: AgentEvent[], taskId: string | undefined): AgentEvent | undefined {
  let count = 0
  let lastEvent: AgentEvent | undefined
  for (const event of batch) {
    if (event.taskId !== undefined && event.taskId !== taskId) continue
    batch[count] = event
    count += 1
    if (event.type !== 'output' && event.type !== 'error') continue
    lastEvent = event
    break
  }
  batch.length = count
  return lastEvent
}
