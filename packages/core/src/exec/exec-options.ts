import type { ByteContent } from '../files/byte-content.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import type { ExecResult } from '../wire.ts'

/** What one exec may be given. */
export interface ExecOptions extends CallOptions {
  /**
   * Milliseconds that the code may run; default 120,000, the server's own. A server with the extension `exec-options` ends
   * the code then and answers with `ServerTimeoutError`, whose `details` hold `stdout` and `stderr` so far; this client
   * gives up 10 s later. With any other server this client gives up at once (`TimeoutError`).
   */
  timeoutMs?: number | undefined
  /** Called with pieces of standard output as they come, in order and awaited; once at the end where the server does not stream. */
  onStdout?: ((text: string) => unknown) | undefined
  /** The same of standard error. */
  onStderr?: ((text: string) => unknown) | undefined
  /** What the code reads from its standard input. Needs the extension `exec-stdin`. */
  stdin?: ByteContent | undefined
  /** Added to the environment of the code. Needs the extension `exec-options`. */
  env?: Record<string, string> | undefined
  /** Working directory; default `/workspace`. Needs the extension `exec-options`. */
  cwd?: string | undefined
}

/** A piece of live output, and at the end the result. */
export type ExecChunk =
  | { type: 'stdout'; text: string }
  | { type: 'stderr'; text: string }
  | { type: 'exit'; result: ExecResult }

/** What {@link ExecOptions} without callbacks leave. */
export type ExecStreamOptions = Omit<ExecOptions, 'onStdout' | 'onStderr'>
