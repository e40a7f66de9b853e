import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono } from 'hono'
import type { Metrics } from '../metrics.ts'
import { isLoopback } from '../network/loopback.ts'
import { answer, answerJson } from './answer.ts'
import type { Environment } from './environment.ts'

/** What operators are told from. */
export interface OperationsOptions {
  metrics: Metrics
  /** Also to those who come from another machine. */
  isMetricsPublic: boolean
  /** Why it takes no work, where it does not. */
  unreadyBecause: () => Promise<string | undefined>
}

/** For whoever runs the server: is it there, does it take work, what does it do. None needs a key. */
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
      // To others there is no such path.
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
 * A proxy on this machine passes on what comes from elsewhere: by a header that says so, or by the name that the outside
 * knows this server by. A page in a browser of this machine comes by another name too, if it rebinds one.
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
