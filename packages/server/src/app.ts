import type { Feature } from '@theazo/core'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { routePath } from 'hono/route'
import type { Logger } from 'pino'
import { ApiError } from './errors.ts'
import type { EventStreams } from './events/event-streams.ts'
import { newId } from './ids.ts'
import type { ApiKeys } from './keys/api-keys.ts'
import type { RateLimiter } from './limits/rate-limiter.ts'
import { type AgentRoutesOptions, agentRoutes } from './routes/agents.ts'
import { authenticate } from './routes/authenticate.ts'
import { docsRoutes } from './routes/docs.ts'
import type { Environment } from './routes/environment.ts'
import { errorHandler } from './routes/error-handler.ts'
import { idempotent } from './routes/idempotent.ts'
import { needsScope } from './routes/needs-scope.ts'
import { operationsRoutes, type OperationsOptions } from './routes/operations.ts'
import { rateLimit } from './routes/rate-limit.ts'
import { refuseWhileClosing } from './routes/refuse-while-closing.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { streamRoutes } from './routes/stream.ts'
import { tellHeader } from './routes/headers.ts'
import { usageRoutes } from './routes/usage.ts'
import type { IdempotentAnswers } from './services/idempotency.ts'
import type { Sessions } from './services/sessions.ts'
import type { Usage } from './services/usage.ts'
import type { Database } from './store/database.ts'

/** What the routes call. */
export interface AppOptions extends OperationsOptions, AgentRoutesOptions {
  log: Logger
  database: Database
  keys: ApiKeys
  limiter: RateLimiter
  answers: IdempotentAnswers
  sessions: Sessions
  streams: EventStreams
  usage: Usage
  /** A web page's origin that may call from a browser; none by default. */
  corsOrigin: string | undefined
  /** Is told what goes wrong in the background. */
  onError: (error: unknown) => void
  /** Is given work that goes on after its answer has begun: a server closes after it. */
  onGoingOn: (work: Promise<unknown>) => void
  /** True while what runs is let go on for a while, and nothing new begins. */
  isClosing: () => boolean
}

/** What this server can do beyond the reference (contract, Basics); each name arrives with its feature. */
const features: readonly Feature[] = [
  'idempotency',
  'exec-stream',
  'exec-stdin',
  'exec-options',
  'exec-files',
  'sessions',
  'agents',
  'tasks',
  'replay',
]

/** Of every answer. Answers are data for programs: no page may frame them, run them or guess what they are. */
const headers = {
  'theazo-features': features.join(', '),
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** The Theazo API: from the request to its answer, top to bottom. */
export function createApp(options: AppOptions): Hono<Environment> {
  const { log, database, keys, limiter, answers, sessions, agents, streams, usage, corsOrigin } = options
  const api = new Hono<Environment>()
  // What only changes need is not asked of reads: each layer costs a read a few percent.
  const changes = ['POST', 'PATCH', 'PUT', 'DELETE']
  api.on(changes, '/*', refuseWhileClosing(options.isClosing))
  api.use(authenticate(keys))
  api.use(rateLimit(limiter))
  api.on(changes, '/*', needsScope())
  api.post('/*', idempotent(answers, options.onError))
  api.route('/', sessionRoutes(sessions, agents))
  api.route('/', agentRoutes(options))
  api.route('/', streamRoutes(database, streams))
  api.route('/', usageRoutes(usage))
  refuseOtherMethods(api)
  const open = new Hono<Environment>()
  open.route('/', operationsRoutes(options))
  open.route('/', docsRoutes())
  refuseOtherMethods(open)

  const app = new Hono<Environment>()
  app.use(async (c, next) => {
    const startedAt = performance.now()
    const requestId = newId('req')
    c.set('requestId', requestId)
    c.set('log', log)
    c.set('told', { 'x-request-id': requestId, ...headers })
    await next()
    const ending = c.get('ending')
    if (ending) options.onGoingOn(ending)
    const durationMs = performance.now() - startedAt
    const { method, path } = c.req
    const { status } = c.res
    options.metrics.answered(method, routePath(c, -1), status, durationMs)
    log.info({ requestId, method, path, status, durationMs: Math.round(durationMs) }, 'request')
  })
  if (corsOrigin !== undefined) app.use(cors({ origin: corsOrigin, exposeHeaders: ['*'] }))
  app.onError(errorHandler)
  app.notFound((c) => errorHandler(new ApiError('not_found', `There is no ${c.req.path} here.`), c))
  app.route('/', open)
  app.route('/v1', api)
  return app
}

/** A known path with another method is 405, with the methods that it has. */
function refuseOtherMethods(routes: Hono<Environment>): void {
  const methodsByPath = new Map<string, string[]>()
  for (const { path, method } of routes.routes) {
    if (method !== 'ALL' && !path.includes('*')) methodsByPath.set(path, [...(methodsByPath.get(path) ?? []), method])
  }
  for (const [path, methods] of methodsByPath) {
    routes.all(path, (c) => {
      tellHeader(c, 'allow', [...new Set(methods)].join(', '))
      throw new ApiError('not_found', `${c.req.method} is not a method of ${c.req.path}.`, { status: 405 })
    })
  }
}
