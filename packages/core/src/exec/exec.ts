import { awaitCallback } from './await-callback.ts'
import type { ExecOptions } from './exec-options.ts'
import { toBase64 } from '../files/base64.ts'
import { bytesOf } from '../files/byte-content.ts'
import { isEventStream, parseJson, readText } from '../transport/responses.ts'
import { assertTimeout } from '../transport/lifetime.ts'
import type { Transport } from '../transport/transport.ts'
import type { ExecBody, ExecExtensions, ExecResult, Feature, Language } from '../wire.ts'

/** The server's limit on the time of an exec, and its default (contract, exec). */
const maxExecTimeoutMs = 120_000
/** How much later the client's deadline is, so that the server's response, with the output so far, arrives first. */
const marginMs = 10_000

/** Runs code and waits until it ends; see `Agent.exec`. */
export async function exec(
  transport: Transport,
  agentId: string,
  lang: Language,
  code: string,
  options: ExecOptions,
): Promise<ExecResult> {
  const { signal, timeoutMs, idempotencyKey, onStdout, onStderr, stdin, env, cwd } = options
  if (timeoutMs !== undefined) assertTimeout(timeoutMs)
  const isServerDeadline = timeoutMs === undefined || transport.features.has('exec-options')
  const needs: [Feature, string][] = []
  if (stdin !== undefined) needs.push(['exec-stdin', 'exec with stdin'])
  if (env !== undefined) needs.push(['exec-options', 'exec with env'])
  if (cwd !== undefined) needs.push(['exec-options', 'exec with cwd'])
  const body: ExecBody & ExecExtensions = {
    lang,
    code,
    env,
    cwd,
    ...(isServerDeadline && timeoutMs !== undefined && { timeoutMs: Math.min(Math.ceil(timeoutMs), maxExecTimeoutMs) }),
    stdin:
      stdin === undefined || typeof stdin === 'string' ? stdin : { base64: toBase64(await bytesOf(stdin, 'stdin')) },
  }
  const request = {
    method: 'POST',
    path: ['agents', agentId, 'exec'],
    body,
    needs,
    signal,
    timeoutMs: isServerDeadline ? (timeoutMs ?? maxExecTimeoutMs) + marginMs : timeoutMs,
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
    if (result.stdout) await awaitCallback(onStdout?.(result.stdout), attempt.signal)
    if (result.stderr) await awaitCallback(onStderr?.(result.stderr), attempt.signal)
    return result
  })
}
