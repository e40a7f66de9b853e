import { isEventStream, parseJson, readText } from './answers.ts'
import type { Transport } from './transport.ts'
import type { CallOptions } from './transport-options.ts'
import type { ExecBody, ExecExtensions, ExecResult, Language } from './wire.ts'

/** The server gives an exec 120 s; the margin lets its own answer arrive first. */
const defaultExecTimeoutMs = 130_000

/** What one exec may be given. `timeoutMs` is 130,000 by default. */
export interface ExecOptions extends CallOptions {
  /** Called with pieces of standard output as they come, in order and awaited; once at the end where the server does not stream. */
  onStdout?: ((text: string) => unknown) | undefined
  /** The same of standard error. */
  onStderr?: ((text: string) => unknown) | undefined
  /** What the code reads from its standard input. Needs the extension `exec-stdin`. */
  stdin?: string | Uint8Array | undefined
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
  const { signal, timeoutMs = defaultExecTimeoutMs, idempotencyKey, onStdout, onStderr, stdin, env, cwd } = options
  if (stdin !== undefined) await transport.require('exec-stdin', 'exec with stdin', { signal })
  if (env !== undefined) await transport.require('exec-options', 'exec with env', { signal })
  if (cwd !== undefined) await transport.require('exec-options', 'exec with cwd', { signal })
  const body: ExecBody & ExecExtensions = {
    lang,
    code,
    env,
    cwd,
    stdin: stdin instanceof Uint8Array ? { base64: toBase64(stdin) } : stdin,
  }
  const request = {
    method: 'POST',
    path: ['agents', agentId, 'exec'],
    body,
    signal,
    timeoutMs,
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
    if (result.stdout) await onStdout?.(result.stdout)
    if (result.stderr) await onStderr?.(result.stderr)
    return result
  })
}

/** Of any size: `String.fromCharCode` takes only so many arguments. */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  return btoa(text)
}
