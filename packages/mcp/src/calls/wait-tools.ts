import type { ToolHints } from '@theazo/core/tools'
import { z } from 'zod/v4'

/** A tool of this server that is not in the catalog. It needs no sandbox. */
export interface SessionTool<Input> {
  name: string
  title: string
  description: string
  input: z.ZodType<Input>
  output: z.ZodType
  hints: ToolHints
}

/** Input of `wait`. */
interface WaitInput {
  callId: string
  timeoutSeconds?: number | undefined
}

/** Input of `stop`. */
interface StopInput {
  callId: string
}

/** The tools that continue a call after its first answer. */
export interface WaitTools {
  wait: SessionTool<WaitInput>
  stop: SessionTool<StopInput>
}

const callId = z.string().min(1).max(64).describe('The callId of the answer that said "still running".')
/** The answers of `wait` are those of the waited tool, so that any field may follow. */
const output = z.object({ callId: z.string().optional(), isRunning: z.boolean().optional() }).passthrough()

/** @param maxSeconds the longest time until an answer, which is also the default. */
export function waitTools(maxSeconds: number): WaitTools {
  return {
    wait: {
      name: 'wait',
      title: 'Wait',
      description:
        'Wait for a call that answered "still running". Returns its output since the last answer, and its result when it has ended.',
      input: z.object({
        callId,
        timeoutSeconds: z
          .number()
          .int()
          .min(1)
          .max(maxSeconds)
          .optional()
          .describe(`Seconds until the answer at the latest, 1 to ${maxSeconds}. Default ${maxSeconds}.`),
      }),
      output,
      hints: { readOnly: true, destructive: false, idempotent: false, openWorld: false },
    },
    stop: {
      name: 'stop',
      title: 'Stop',
      description:
        'Stop a call that answered "still running": kill its code or cancel its task. Files it wrote are kept.',
      input: z.object({ callId }),
      output,
      hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
    },
  }
}
