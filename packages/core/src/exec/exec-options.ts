import type { ByteContent } from '../files/byte-content.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import type { ExecResult } from '../wire.ts'

/** Options of {@link Agent.exec}. */
export interface ExecOptions extends CallOptions {
  /**
   * Milliseconds that the code may run. Default 120,000, which is also the server's limit. A server with the extension
   * `exec-options` then kills the code, and the call rejects with `ServerTimeoutError`; its `details` contain the `stdout`
   * and `stderr` so far. The client waits 10 s longer for this response. With any other server the client itself ends the
   * call at this time (`TimeoutError`).
   */
  timeoutMs?: number | undefined
  /**
   * Called with each chunk of standard output as it arrives, in order and awaited. If the server does not stream, it is
   * called once at the end.
   */
  onStdout?: ((text: string) => unknown) | undefined
  /** Like `onStdout`, for standard error. */
  onStderr?: ((text: string) => unknown) | undefined
  /** Content of the code's standard input. Needs the extension `exec-stdin`. */
  stdin?: ByteContent | undefined
  /** Added to the environment of the code. Needs the extension `exec-options`. */
  env?: Record<string, string> | undefined
  /** Working directory; default `/workspace`. Needs the extension `exec-options`. */
  cwd?: string | undefined
}

/** A chunk of live output, or at the end the result. */
export type ExecChunk =
  | { type: 'stdout'; text: string }
  | { type: 'stderr'; text: string }
  | { type: 'exit'; result: ExecResult }

/** Options of {@link Agent.execStream}: those of exec without the callbacks. */
export type ExecStreamOptions = Omit<ExecOptions, 'onStdout' | 'onStderr'>
