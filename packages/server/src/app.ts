import type { Feature } from '@theazo/core'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { RouterRoute } from 'hono/types'
import { getPath } from 'hono/utils/url'
import type { Logger } from 'pino'
import { ApiError } from './errors.ts'
import { FairQueue } from './fair-queue.ts'
import type { EventStreams } from './events/event-streams.ts'
import { newId } from './ids.ts'
import type { ApiKeys } from './keys/api-keys.ts'
import type { RateLimiter } from './limits/rate-limiter.ts'
import { type AgentRoutesOptions, agentRoutes } from './routes/agents.ts'
import { authenticate } from './routes/authenticate.ts'
import { docsRoutes } from './routes/docs.ts'
import { type RequestContext, type Connection, type Environment, nobody } from './routes/environment.ts'
import { answerError } from './routes/answer-error.ts'
import { setHeader } from './routes/headers.ts'
import { idempotent } from './routes/idempotent.ts'
import { needsScope } from './routes/needs-scope.ts'
import { operationsRoutes, type OperationsOptions } from './routes/operations.ts'
import { rateLimit } from './routes/rate-limit.ts'
import { changes, refuseWhileClosing } from './routes/refuse-while-closing.ts'
import { fileRoutes } from './routes/files.ts'
import { knownPaths, RouteTable } from './routes/route-table.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { streamRoutes } from './routes/stream.ts'
import { usageRoutes } from './routes/usage.ts'
import type { AgentFiles } from './services/agent-files.ts'
import type { IdempotentAnswers } from './services/idempotency.ts'
import type { Sessions } from './services/sessions.ts'
import type { Usage } from './services/usage.ts'
import type { Database } from './store/database.ts'

/** The services behind the routes. */
export interface AppOptions extends OperationsOptions, AgentRoutesOptions {
  log: Logger
  database: Database
  keys: ApiKeys
  limiter: RateLimiter
  answers: IdempotentAnswers
  sessions: Sessions
  files: AgentFiles
  streams: EventStreams
  usage: Usage
  /** Origin of a web page that may call the API from a browser; undefined: none. */
  corsOrigin: string | undefined
  /** Called with errors of background work. */
  onError: (error: unknown) => void
  /** Called with work that continues after its answer has begun: the server waits for it when it closes. */
  onContinuingWork: (work: Promise<unknown>) => void
  /** True while the server drains: running work continues, new work is refused. */
  isClosing: () => boolean
}

/** Extensions of this server beyond the reference (contract, Basics). */
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
  'approvals',
  'conversations',
  'official-sdk',
]

/** Headers of every answer. Answers are data for programs: a page must not frame, run or sniff them. */
const headers = {
  'theazo-features': features.join(', '),
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** Maximum characters of a path in a log line: anybody may send a long path, even without a key. */
const maxLoggedChars = 200

function loggedPath(path: string): string {
  return path.length > maxLoggedChars ? `${path.slice(0, maxLoggedChars)}…` : path
}

/** The HTTP API without a port. */
export interface App {
  /** Returns the answer itself if it needs no waiting: a promise costs a read as much as its work. */
  answer: (request: Request, connection?: Connection) => Response | Promise<Response>
  routes: readonly RouterRoute[]
}

/** The Theazo API, from the request to its answer. */
export function createApp(options: AppOptions): App {
  const { log, keys, limiter, metrics, corsOrigin, isClosing } = options
  const { app, patternOf } = routesOf(options)
  // These checks are not Hono middleware, which would make every answer asynchronous. They depend on the pattern, which
  // comes from the table that also finds the handler: no request can reach a handler without them.
  const checked: Handler = (request, context) => {
    try {
      if (isOfApi(context.pattern)) {
        refuseWhileClosing(isClosing, request, context)
        authenticate(keys, request, context)
        rateLimit(limiter, context)
      }
    } catch (error) {
      const refusal = answerError(error, request, context)
      return request.method === 'HEAD' ? new Response(null, refusal) : refusal // as Hono does for routes
    }
    return app.fetch(request, context)
  }
  const respond = corsOrigin === undefined ? checked : withCors(corsOrigin, checked)
  const record = (response: Response, { method }: Request, context: RequestContext, startedAt: number): Response => {
    const durationMs = performance.now() - startedAt
    const { requestId, path, pattern, streamOutcome } = context
    const { status } = response
    if (streamOutcome) options.onContinuingWork(streamOutcome)
    metrics.answered(method, pattern, status, durationMs)
    log.info({ requestId, method, path: loggedPath(path), status, durationMs: Math.round(durationMs) }, 'request')
    return response
  }
  return {
    routes: app.routes,
    answer(request, connection) {
      const startedAt = performance.now()
      const requestId = newId('req')
      const answerHeaders = { 'x-request-id': requestId, ...headers }
      const path = withoutSlash(getPath(request))
      const pattern = patternOf(request.method, path)
      const context: RequestContext = {
        incoming: connection?.incoming,
        requestId,
        log,
        path,
        pattern,
        principal: nobody,
        answerHeaders,
        answerBody: undefined,
        streamOutcome: undefined,
      }
      const response = respond(request, context)
      if (response instanceof Promise) return response.then((answer) => record(answer, request, context, startedAt))
      return record(response, request, context, startedAt)
    },
  }
}

/** A slash at the end of a path is ignored. */
function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

type Handler = (request: Request, context: RequestContext) => Response | Promise<Response>

function isOfApi(path: string): boolean {
  return path.startsWith('/v1/') || path === '/v1'
}

/** Routes of requests that have passed the checks. A read runs its handler only, without middleware. */
function routesOf(options: AppOptions): {
  app: Hono<Environment>
  patternOf: (method: string, path: string) => string
} {
  const { database, answers, sessions, agents, files, streams, usage } = options
  const api = new Hono<Environment>()
  api.on(changes, '/*', needsScope())
  api.post('/*', idempotent(answers, options.onError))
  const pages = new FairQueue(1)
  api.route('/', sessionRoutes(sessions, agents, pages))
  api.route('/', agentRoutes(options, pages))
  api.route('/', fileRoutes(files))
  api.route('/', streamRoutes(database, streams))
  api.route('/', usageRoutes(usage))
  const app = new Hono<Environment>({
    router: new RouteTable(),
    getPath: (request, options) => options?.env?.path ?? getPath(request),
  })
  app.route('/', operationsRoutes(options))
  app.route('/', docsRoutes())
  app.route('/v1', api)
  app.onError((error, c) => answerError(error, c.req.raw, c.env))
  const known = knownPaths(app.routes)
  app.notFound((c) => answerError(noRoute(c.req.method, c.env, known(c.env.path)?.methods), c.req.raw, c.env))
  const patternOf = (method: string, path: string): string => {
    const pattern = app.router.match(routed(method), path)[0].at(-1)?.[0][1].path
    if (pattern !== undefined && !pattern.endsWith('*')) return pattern
    return known(path)?.pattern ?? (isOfApi(path) ? '/v1/*' : '/*')
  }
  return { app, patternOf }
}

/** 405 with the allowed methods for a known path, otherwise 404. A route may also report itself as not found. */
function noRoute(method: string, context: RequestContext, methods: readonly string[] = []): ApiError {
  if (methods.length === 0 || methods.includes(routed(method)))
    return new ApiError('not_found', `This server has no path ${context.path}.`)
  setHeader(context, 'allow', methods.join(', '))
  return new ApiError('not_found', `${context.path} does not accept ${method}. The Allow header lists its methods.`, {
    status: 405,
  })
}

/** Hono answers HEAD by the routes of GET. */
function routed(method: string): string {
  return method === 'HEAD' ? 'GET' : method
}

function withCors(origin: string, next: Handler): Handler {
  const app = new Hono<Environment>()
  app.use(cors({ origin, exposeHeaders: ['*'] })).all('*', (c) => next(c.req.raw, c.env))
  return app.fetch
}
