import type { ErrorEnvelope } from '@theazo/core'
import type { Context, MiddlewareHandler } from 'hono'
import { ApiError, isInterruption } from '../errors.ts'
import type { AnswerEnd, IdempotentAnswers } from '../services/idempotency.ts'
import { answer } from './answer.ts'
import type { StreamOutcome, Environment } from './environment.ts'
import { readHeader, setHeader } from './headers.ts'
import { readText } from './read-body.ts'

/** A larger answer is not stored (contract, Basics). */
const maxKeptBytes = 1024 * 1024
/** 4xx statuses that may change at the next try. */
const transientStatuses: ReadonlySet<number> = new Set([401, 402, 429])

/**
 * Runs a POST with an `Idempotency-Key` once. A repeated request gets the stored answer.
 *
 * @param onError called if the end of a stream could not be stored: its answer has already begun.
 */
export function idempotent(
  answers: IdempotentAnswers,
  onError: (error: unknown) => void,
): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const key = readHeader(c.req.raw, c.env, 'idempotency-key')
    if (key === undefined) return await next()
    if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw ApiError.invalid({ 'idempotency-key': ['must be 1 to 255 visible ASCII characters'] })
    }
    const { path } = c.req
    const isOnce = /\/agents\/[^/]+\/(exec|run)$/.test(path)
    const body = await readText(c)
    const { keyId, project } = c.env.principal
    const begun = await answers.begin({ keyId, project, key, path, body, isOnce })
    if (begun.kind === 'stored') {
      setHeader(c.env, 'idempotent-replayed', 'true')
      return answer(c.env, withRequestId(begun.body, c.env.requestId), 'application/json', begun.status)
    }
    c.set('reserved', begun.reserved)
    const { signal } = c.req.raw
    try {
      await next()
    } finally {
      const { streamOutcome } = c.env
      if (streamOutcome) void streamOutcome.then((end) => begun.end(endOf(end, isOnce, signal))).catch(onError)
      else await begun.end(endOf(await outcomeOf(c), isOnce, signal))
    }
  }
}

async function outcomeOf(c: Context<Environment>): Promise<StreamOutcome> {
  let body = c.error ? undefined : c.env.answerBody
  if (body === undefined) {
    body = await c.res.text()
    c.res = new Response(body, c.res)
  }
  return { status: c.res.status, body, error: c.error }
}

function endOf({ status, body, error }: StreamOutcome, isOnce: boolean, signal: AbortSignal): AnswerEnd {
  // The client left, the sandbox failed or the server ended: part of the work may be done.
  if (error && (signal.aborted || isInterruption(error))) return isOnce ? 'interrupted' : 'forget'
  if (status >= 500 || transientStatuses.has(status)) return 'forget'
  return body === undefined || Buffer.byteLength(body) > maxKeptBytes ? 'not_kept' : { status, body }
}

/** Replaces the request id in a stored error by the id of the present request, which the log contains. */
function withRequestId(body: string, requestId: string): string {
  const parsed = JSON.parse(body) as Partial<ErrorEnvelope>
  return parsed.error ? JSON.stringify({ error: { ...parsed.error, requestId } }) : body
}
