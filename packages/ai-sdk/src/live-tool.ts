import type { ToolEvent } from '@theazo/core/tools'
import type { z } from 'zod/v4'

/** How the results of a tool look while it runs. */
export interface LiveTool<Snapshot> {
  /** Accepts snapshots, and no result. */
  schema: z.ZodType<Snapshot>
  /** Starts to collect the events of one call. */
  collect: () => LiveCollector<Snapshot>
  /** A snapshot as text for the model, which receives it only if the call never ended. */
  toText: (snapshot: Snapshot) => string
}

/** The events of one call. */
export interface LiveCollector<Snapshot> {
  add(event: ToolEvent): void
  snapshot(): Snapshot
  /** What the result contains besides its data. */
  extras?(): object
}
