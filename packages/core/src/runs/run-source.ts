import type { EventStreamOptions } from '../streams/event-stream-options.ts'
import type { Transport } from '../transport/transport.ts'
import type { RunExtensions } from '../wire.ts'
import type { CallOptions } from '../transport/transport-options.ts'

/** Options of {@link Agent.run}. `timeoutMs` is the deadline of the whole run; default none. */
export interface RunOptions
  extends Omit<EventStreamOptions, 'lastEventId'>, Pick<CallOptions, 'idempotencyKey'>, RunExtensions {}

/** Options of {@link Agent.attach}. `timeoutMs` is the deadline of the whole run; default none. */
export interface AttachOptions extends EventStreamOptions {}

/** The constructor arguments of {@link Run}. */
export interface RunSource {
  transport: Transport
  agentId: string
  /** The prompt of a new run. Without it, the run of `taskId` is followed. */
  task?: string
  taskId?: string
  options: RunOptions & AttachOptions
}
