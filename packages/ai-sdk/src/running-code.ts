import type { RunCodeData, ToolEvent } from '@theazo/core/tools'
import { z } from 'zod/v4'
import type { LiveCollector, LiveTool } from './live-tool.ts'
import { TextTail } from './text-tail.ts'

/** The cap on each stream of a snapshot. A snapshot is sent up to five times a second. */
const maxTailChars = 8000

/** The fields of a result that are not known yet. */
type NotYet<Data, Known extends keyof Data> = { [Key in Exclude<keyof Data, Known>]?: undefined }

/** What `run_code` has printed so far: a preliminary result. */
export interface RunningCode extends NotYet<RunCodeData, 'stdout' | 'stderr' | 'stdoutTruncated' | 'stderrTruncated'> {
  status: 'running'
  /** The last 8,000 characters. */
  stdout: string
  /** The last 8,000 characters. */
  stderr: string
  stdoutTruncated?: true
  stderrTruncated?: true
}

/**
 * The output of `run_code`: its result, or while the code runs, what it has printed so far.
 *
 * @example
 * ```ts
 * import type { RunCodeOutput } from '@theazo/ai-sdk'
 *
 * export function titleOf(output: RunCodeOutput): string {
 *   return output.status === 'running' ? 'Running' : `Exit code ${output.exitCode}`
 * }
 * ```
 */
export type RunCodeOutput = RunningCode | (RunCodeData & { status?: undefined })

const schema: z.ZodType<RunningCode> = z.object({
  status: z.literal('running'),
  stdout: z.string(),
  stderr: z.string(),
  stdoutTruncated: z.literal(true).optional(),
  stderrTruncated: z.literal(true).optional(),
}) as z.ZodType<RunningCode> // zod types an optional key as `| undefined`

export const runningCode: LiveTool<RunningCode> = {
  schema,
  collect: () => new CodeOutput(),
  toText({ stdout, stderr }) {
    const streams = `${stdout}${stderr && `\n[stderr]\n${stderr}`}`
    return `[The code was stopped before its end. Files that it wrote are kept. Its last output:]\n${streams}`
  },
}

class CodeOutput implements LiveCollector<RunningCode> {
  readonly #stdout = new TextTail(maxTailChars)
  readonly #stderr = new TextTail(maxTailChars)

  add(event: ToolEvent): void {
    if (event.type === 'stdout') this.#stdout.add(event.text)
    else if (event.type === 'stderr') this.#stderr.add(event.text)
  }

  snapshot(): RunningCode {
    return {
      status: 'running',
      stdout: this.#stdout.text,
      stderr: this.#stderr.text,
      ...(this.#stdout.isCut && { stdoutTruncated: true }),
      ...(this.#stderr.isCut && { stderrTruncated: true }),
    }
  }
}
