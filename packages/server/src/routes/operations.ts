import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono } from 'hono'
import type { Metrics } from '../metrics.ts'
import { isLoopback } from '../network/loopback.ts'
import { answer, answerJson } from './answer.ts'
import type { Environment } from './environment.ts'

/** The sources of the routes for operators. */
export interface OperationsOptions {
  metrics: Metrics
  /** True if other machines may read `/metrics`. */
  isMetricsPublic: boolean
  /** Why the server accepts no work; undefined if it does. */
  unreadyBecause: () => Promise<string | undefined>
}

/** Routes for operators: health, readiness and metrics. None needs a key. */
export function operationsRoutes({ metrics, isMetricsPublic, unreadyBecause }: OperationsOptions): Hono<Environment> {
  return new Hono<Environment>()
    .get('/healthz', (c) => answerJson(c.env, { status: 'ok' }))
    .get('/readyz', async (c) => {
      const reason = await unreadyBecause()
      return reason === undefined
        ? answerJson(c.env, { status: 'ready' })
        : answerJson(c.env, { status: 'not ready', reason }, 503)
    })
    .get('/metrics', async (c) => {
      // For other machines the path does not exist.
      if (!isMetricsPublic && !isFromThisMachine(c)) return c.notFound()
      return answer(c.env, await metrics.text(), metrics.contentType)
    })
}

const proxyHeaders = new Set([
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'cf-connecting-ip',
  'true-client-ip',
  'x-request-start',
])

/**
 * False also for requests that a proxy on this machine forwards: they have a proxy header, or a public host name in the
 * URL. The check of the host name also stops DNS rebinding by a page in a browser on this machine.
 */
function isFromThisMachine(c: Context<Environment>): boolean {
  const names = Object.keys(c.req.header())
  if (names.some((name) => proxyHeaders.has(name) || name.startsWith('x-forwarded-'))) return false
  if (!c.env.incoming) return true // in-process: there is no connection
  const { address = '' } = getConnInfo(c).remote
  const plain = address.replace(/^::ffff:/, '')
  const { hostname } = new URL(c.req.url)
  return isLoopback(plain) && isLoopback(hostname.replace(/^\[|\]$/g, ''))
}
