import { abortable } from './abortable.ts'
import { toBase64 } from './base64.ts'
import { type ByteContent, bytesOf } from './byte-content.ts'
import { isEventStream, parseJson, readText } from './answers.ts'
import { assertTimeout } from './lifetime.ts'
import type { Transport } from './transport.ts'
import type { CallOptions } from './transport-options.ts'
import type { ExecBody, ExecExtensions, ExecResult, Feature, Language } from './wire.ts'

/** The longest that a server lets code run (contract, exec), which is its default. */
const maxExecTimeoutMs = 120_000
/** Between the server's end of an exec and this client's own: the server's answer, with the output so far, comes first. */
const marginMs = 10_000

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

/** Runs code and waits for its end; see `Agent.exec`. */
export async function exec(
  transport: Transport,
  agentId: string,
  lang: Language,
  code: string,
  options: ExecOptions,
): Promise<ExecResult> {
  const { signal, timeoutMs, idempotencyKey, onStdout, onStderr, stdin, env, cwd } = options
  if (timeoutMs !== undefined) assertTimeout(timeoutMs)
  const isServers = timeoutMs === undefined || transport.features.has('exec-options')
  const needs: [Feature, string][] = []
  if (stdin !== undefined) needs.push(['exec-stdin', 'exec with stdin'])
  if (env !== undefined) needs.push(['exec-options', 'exec with env'])
  if (cwd !== undefined) needs.push(['exec-options', 'exec with cwd'])
  const body: ExecBody & ExecExtensions = {
    lang,
    code,
    env,
    cwd,
    ...(isServers && timeoutMs !== undefined && { timeoutMs: Math.min(Math.ceil(timeoutMs), maxExecTimeoutMs) }),
    stdin:
      stdin === undefined || typeof stdin === 'string' ? stdin : { base64: toBase64(await bytesOf(stdin, 'stdin')) },
  }
  const request = {
    method: 'POST',
    path: ['agents', agentId, 'exec'],
    body,
    needs,
    signal,
    timeoutMs: isServers ? (timeoutMs ?? maxExecTimeoutMs) + marginMs : timeoutMs,
    idempotencyKey,
  } as const
  if (!onStdout && !onStderr) return await transport.request<ExecResult>(request)
  const headers = { accept: 'text/event-stream, application/json' }
  return await transport.call({ ...request, headers }, async (response, attempt) => {
    if (isEventStream(response)) {
      const { readExecStream } = await import('./exec-stream.ts')
      return await readExecStream(response, attempt, { onStdout, onStderr })
    }
    const result = parseJson<ExecResult>(response, await readText(response), attempt)
    if (result.stdout) await told(onStdout?.(result.stdout), attempt.signal)
    if (result.stderr) await told(onStderr?.(result.stderr), attempt.signal)
    return result
  })
}

/** Waits for a callback, but no longer than for the call it is part of. */
export async function told(pending: unknown, signal: AbortSignal): Promise<void> {
  if (typeof pending === 'object' && pending !== null && 'then' in pending)
    await abortable(Promise.resolve(pending), signal)
  signal.throwIfAborted()
}
