import type { EventStreamOptions } from '../streams/event-stream-options.ts'
import type { Transport } from '../transport/transport.ts'
import type { CallOptions } from '../transport/transport-options.ts'

/** How a run is started and followed. `timeoutMs` is the whole run's; default none. */
export interface RunOptions extends Omit<EventStreamOptions, 'lastEventId'>, Pick<CallOptions, 'idempotencyKey'> {}

/** How a run that was started elsewhere is followed. */
export interface AttachOptions extends EventStreamOptions {}

/** What a {@link Run} stands on. */
export interface RunSource {
  transport: Transport
  agentId: string
  /** A new run's prompt; none: the run of `taskId` is followed. */
  task?: string
  taskId?: string
  options: RunOptions & AttachOptions
}
