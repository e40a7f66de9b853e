import type { ErrorEnvelope } from '@theazo/core'
import type { Context, MiddlewareHandler } from 'hono'
import { ApiError, isCut } from '../errors.ts'
import type { AnswerEnd, IdempotentAnswers } from '../services/idempotency.ts'
import { answer } from './answer.ts'
import type { Ending, Environment } from './environment.ts'
import { readHeader, tellHeader } from './headers.ts'
import { readText } from './read-body.ts'

/** An answer larger than this is not kept (contract, Basics). */
const maxKeptBytes = 1024 * 1024
/** 4xx that another try may turn out otherwise. */
const passing: ReadonlySet<number> = new Set([401, 402, 429])

/**
 * A POST with an `Idempotency-Key` is done once; the same one again gets the same answer.
 *
 * @param onError is told where the end of a stream could not be kept: nobody else would hear of it.
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
    if (begun.kind === 'kept') {
      tellHeader(c.env, 'idempotent-replayed', 'true')
      return answer(c.env, withRequestId(begun.body, c.env.requestId), 'application/json', begun.status)
    }
    c.set('reserved', begun.reserved)
    const { signal } = c.req.raw
    try {
      await next()
    } finally {
      const { ending } = c.env
      if (ending) void ending.then((end) => begun.end(endOf(end, isOnce, signal))).catch(onError)
      else await begun.end(endOf(await readEnding(c), isOnce, signal))
    }
  }
}

async function readEnding(c: Context<Environment>): Promise<Ending> {
  let body = c.error ? undefined : c.env.answered
  if (body === undefined) {
    body = await c.res.text()
    c.res = new Response(body, c.res)
  }
  return { status: c.res.status, body, error: c.error }
}

function endOf({ status, body, error }: Ending, isOnce: boolean, signal: AbortSignal): AnswerEnd {
  // By a client that left, a sandbox that broke down or the end of this server: part of it may have been done.
  if (error && (signal.aborted || isCut(error))) return isOnce ? 'interrupted' : 'forget'
  if (status >= 500 || passing.has(status)) return 'forget'
  return body === undefined || Buffer.byteLength(body) > maxKeptBytes ? 'not_kept' : { status, body }
}

/** An error tells the request it answers: the present one, which the log has. */
function withRequestId(body: string, requestId: string): string {
  const parsed = JSON.parse(body) as Partial<ErrorEnvelope>
  return parsed.error ? JSON.stringify({ error: { ...parsed.error, requestId } }) : body
}
