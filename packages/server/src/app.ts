import type { Feature } from '@theazo/core'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { RouterRoute } from 'hono/types'
import { getPath } from 'hono/utils/url'
import type { Logger } from 'pino'
import { ApiError } from './errors.ts'
import type { EventStreams } from './events/event-streams.ts'
import { newId } from './ids.ts'
import type { ApiKeys } from './keys/api-keys.ts'
import type { RateLimiter } from './limits/rate-limiter.ts'
import { type AgentRoutesOptions, agentRoutes } from './routes/agents.ts'
import { authenticate } from './routes/authenticate.ts'
import { docsRoutes } from './routes/docs.ts'
import { type Call, type Connection, type Environment, nobody } from './routes/environment.ts'
import { answerError } from './routes/answer-error.ts'
import { tellHeader } from './routes/headers.ts'
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

/** What the routes call. */
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
  'official-sdk',
]

/** Of every answer. Answers are data for programs: no page may frame them, run them or guess what they are. */
const headers = {
  'theazo-features': features.join(', '),
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** Characters of a path that a log line has: anybody may send long ones, without a key too. */
const maxLoggedChars = 200

function loggedPath(path: string): string {
  return path.length > maxLoggedChars ? `${path.slice(0, maxLoggedChars)}…` : path
}

/** The API without a port. */
export interface App {
  /** The answer itself where nothing has to be waited for: a promise costs a read as much as its work. */
  answer: (request: Request, connection?: Connection) => Response | Promise<Response>
  routes: readonly RouterRoute[]
}

/** The Theazo API: from the request to its answer, top to bottom. */
export function createApp(options: AppOptions): App {
  const { log, keys, limiter, metrics, corsOrigin, isClosing } = options
  const { app, patternOf } = routesOf(options)
  // What every request of the API must pass is asked here and not by Hono's middleware: with one, no answer is at once.
  // The pattern decides and not the path, as the same table leads to the handler: what it finds cannot go past this.
  const checked: Answering = (request, call) => {
    try {
      if (isOfApi(call.pattern)) {
        refuseWhileClosing(isClosing, request, call)
        authenticate(keys, request, call)
        rateLimit(limiter, call)
      }
    } catch (error) {
      const refusal = answerError(error, request, call)
      return request.method === 'HEAD' ? new Response(null, refusal) : refusal // as Hono has it for routes
    }
    return app.fetch(request, call)
  }
  const respond = corsOrigin === undefined ? checked : withCors(corsOrigin, checked)
  const answered = (response: Response, { method }: Request, call: Call, startedAt: number): Response => {
    const durationMs = performance.now() - startedAt
    const { requestId, path, pattern, ending } = call
    const { status } = response
    if (ending) options.onGoingOn(ending)
    metrics.answered(method, pattern, status, durationMs)
    log.info({ requestId, method, path: loggedPath(path), status, durationMs: Math.round(durationMs) }, 'request')
    return response
  }
  return {
    routes: app.routes,
    answer(request, connection) {
      const startedAt = performance.now()
      const requestId = newId('req')
      const told = { 'x-request-id': requestId, ...headers }
      const path = withoutSlash(getPath(request))
      const pattern = patternOf(request.method, path)
      const call: Call = {
        incoming: connection?.incoming,
        requestId,
        log,
        path,
        pattern,
        principal: nobody,
        told,
        answered: undefined,
        ending: undefined,
      }
      const response = respond(request, call)
      if (response instanceof Promise) return response.then((made) => answered(made, request, call, startedAt))
      return answered(response, request, call, startedAt)
    },
  }
}

/** A slash at the end of a path says nothing here. */
function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

type Answering = (request: Request, call: Call) => Response | Promise<Response>

function isOfApi(path: string): boolean {
  return path.startsWith('/v1/') || path === '/v1'
}

/** What answers a request that has passed. A read has its handler and nothing else. */
function routesOf(options: AppOptions): {
  app: Hono<Environment>
  patternOf: (method: string, path: string) => string
} {
  const { database, answers, sessions, agents, files, streams, usage } = options
  const api = new Hono<Environment>()
  api.on(changes, '/*', needsScope())
  api.post('/*', idempotent(answers, options.onError))
  api.route('/', sessionRoutes(sessions, agents))
  api.route('/', agentRoutes(options))
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

/** A known path with another method is 405, with the methods that it has. A route may say itself that it is not there. */
function noRoute(method: string, call: Call, methods: readonly string[] = []): ApiError {
  if (methods.length === 0 || methods.includes(routed(method)))
    return new ApiError('not_found', `There is no ${call.path} here.`)
  tellHeader(call, 'allow', methods.join(', '))
  return new ApiError('not_found', `${method} is not a method of ${call.path}.`, { status: 405 })
}

/** Hono answers HEAD by the routes of GET. */
function routed(method: string): string {
  return method === 'HEAD' ? 'GET' : method
}

function withCors(origin: string, next: Answering): Answering {
  const app = new Hono<Environment>()
  app.use(cors({ origin, exposeHeaders: ['*'] })).all('*', (c) => next(c.req.raw, c.env))
  return app.fetch
}
