import type { ErrorEnvelope } from '@theazo/core'
import type { Context, MiddlewareHandler } from 'hono'
import { ApiError, SandboxEndedError } from '../errors.ts'
import type { AnswerEnd, IdempotentAnswers } from '../services/idempotency.ts'
import { answer } from './answer.ts'
import type { Environment } from './environment.ts'
import { readHeader, tellHeader } from './headers.ts'
import { readText } from './read-body.ts'

/** An answer larger than this is not kept (contract, Basics). */
const maxKeptBytes = 1024 * 1024
/** 4xx that another try may turn out otherwise. */
const passing: ReadonlySet<number> = new Set([401, 402, 429])

/** A POST with an `Idempotency-Key` is done once; the same one again gets the same answer. */
export function idempotent(answers: IdempotentAnswers): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const key = readHeader(c, 'idempotency-key')
    if (key === undefined) return await next()
    if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw ApiError.invalid({ 'idempotency-key': ['must be 1 to 255 visible ASCII characters'] })
    }
    const { path } = c.req
    const isOnce = /\/agents\/[^/]+\/(exec|run)$/.test(path)
    const body = await readText(c)
    const begun = await answers.begin({ keyId: c.get('principal').keyId, key, path, body, isOnce })
    if (begun.kind === 'kept') {
      tellHeader(c, 'idempotent-replayed', 'true')
      return answer(c, withRequestId(begun.body, c.get('requestId')), 'application/json', begun.status)
    }
    c.set('reserved', begun.reserved)
    try {
      await next()
    } finally {
      await begun.end(await endOf(c, isOnce))
    }
  }
}

async function endOf(c: Context<Environment>, isOnce: boolean): Promise<AnswerEnd> {
  const { status } = c.res
  // By a client that left, or by the end of this server: part of it may have been done.
  const isCut = c.error !== undefined && (c.req.raw.signal.aborted || c.error.cause instanceof SandboxEndedError)
  if (isCut) return isOnce ? 'interrupted' : 'forget'
  if (status >= 500 || passing.has(status)) return 'forget'
  const body = await c.res.text()
  c.res = new Response(body, c.res)
  return Buffer.byteLength(body) > maxKeptBytes ? 'not_kept' : { status, body }
}

/** An error tells the request it answers: the present one, which the log has. */
function withRequestId(body: string, requestId: string): string {
  const parsed = JSON.parse(body) as Partial<ErrorEnvelope>
  return parsed.error ? JSON.stringify({ error: { ...parsed.error, requestId } }) : body
}
