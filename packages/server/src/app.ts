import type { Feature } from '@theazo/core'
import { Hono } from 'hono'
import type { Logger } from 'pino'
import { ApiError } from './errors.ts'
import { newId } from './ids.ts'
import type { ApiKeys } from './keys/api-keys.ts'
import { agentRoutes } from './routes/agents.ts'
import { authenticate } from './routes/authenticate.ts'
import type { Environment } from './routes/environment.ts'
import { errorHandler } from './routes/error-handler.ts'
import { sessionRoutes } from './routes/sessions.ts'
import type { Agents } from './services/agents.ts'
import type { Sessions } from './services/sessions.ts'

export interface AppOptions {
  log: Logger
  keys: ApiKeys
  sessions: Sessions
  agents: Agents
}

/** What this server can do beyond the reference (contract, Basics); each name arrives with its feature. */
const features: readonly Feature[] = ['sessions', 'agents']

/** The Theazo API: from the request to its answer, top to bottom. */
export function createApp({ log, keys, sessions, agents }: AppOptions): Hono<Environment> {
  const api = new Hono<Environment>()
  api.use(authenticate(keys))
  api.route('/', sessionRoutes(sessions))
  api.route('/', agentRoutes(agents))
  refuseOtherMethods(api)

  const app = new Hono<Environment>()
  app.use(async (c, next) => {
    const startedAt = performance.now()
    const requestId = newId('req')
    c.set('requestId', requestId)
    c.set('log', log.child({ requestId }))
    await next()
    c.header('x-request-id', requestId)
    c.header('theazo-features', features.join(', '))
    const durationMs = Math.round(performance.now() - startedAt)
    c.var.log.info({ method: c.req.method, path: c.req.path, status: c.res.status, durationMs }, 'request')
  })
  app.onError(errorHandler)
  app.notFound((c) => errorHandler(new ApiError('not_found', `There is no ${c.req.path} here.`), c))
  app.route('/v1', api)
  return app
}

/** A known path with another method is 405, with the methods that it has. */
function refuseOtherMethods(api: Hono<Environment>): void {
  const methodsByPath = new Map<string, string[]>()
  for (const { path, method } of api.routes) {
    if (method !== 'ALL') methodsByPath.set(path, [...(methodsByPath.get(path) ?? []), method])
  }
  for (const [path, methods] of methodsByPath) {
    api.all(path, (c) => {
      c.header('allow', methods.join(', '))
      throw new ApiError('not_found', `${c.req.method} is not a method of ${c.req.path}.`, { status: 405 })
    })
  }
}
