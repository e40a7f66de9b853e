import { configurationError } from '@theazo/core/tools'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { namesVersion, type Protocol } from '../protocol.ts'
import { jsonRpcResponse } from './json-rpc-response.ts'
import type { Authenticate, AuthFault, Identity, McpAuth } from './mcp-auth.ts'
import { closingResponse, McpSessions, type McpSessionsOptions, type OpeningUser } from './mcp-sessions.ts'

/** Settings of {@link createMcpHttp}. */
export interface McpHttpOptions extends Omit<McpSessionsOptions, 'onError'> {
  auth: McpAuth
  authenticate: Authenticate
  protocol: Protocol
  /** Host names that requests may use, in any case; a port is ignored. */
  allowedHosts: readonly string[]
  /** Origins of web pages that may connect. A page on this machine may, if `allowedHosts` names it. */
  allowedOrigins: readonly string[]
  /** Receives unexpected errors. Clients get none of their text. */
  onError: (error: unknown) => void
}

/** An MCP server for HTTP: a function from requests to responses. Disposing it ends every session. */
export interface McpHttp extends AsyncDisposable {
  fetch: (request: Request) => Promise<Response>
  /** The number of sessions. */
  readonly sessionCount: number
}

/** The path of the MCP endpoint. */
export const mcpPath = '/mcp'
const metadataPath = '/.well-known/oauth-protected-resource'
const maxBodyBytes = 4 * 1024 * 1024
const methods = ['GET', 'POST', 'DELETE']

interface Env {
  Variables: { identity: Identity }
}

/**
 * The Streamable HTTP transport on Hono: checks of host, origin and token, sessions, and the endpoint. It is independent
 * of the tools, so that the tests can run the conformance suite's own server behind it.
 *
 * @throws {ConfigurationError} if an allowed host is no host name, or the resource of `oauth` is no URL.
 */
export function createMcpHttp(options: McpHttpOptions): McpHttp {
  const { auth, authenticate, protocol, allowedOrigins, onError } = options
  const allowedHosts = new Set(options.allowedHosts.map(allowedHost))
  const sessions = new McpSessions(options)
  const isOrigin = (origin: string): boolean => {
    return allowedOrigins.includes(origin) || allowedHosts.has(hostNameOf(origin))
  }
  const app = new Hono<Env>()
  app.onError((error) => {
    onError(error)
    return jsonRpcResponse(500, 'server', 'Internal error.')
  })
  app.notFound(() => jsonRpcResponse(404, 'invalidRequest', `There is nothing here. The MCP endpoint is ${mcpPath}.`))
  // DNS rebinding: an attacker's host name may resolve to this server. Its requests carry that name as host and origin.
  app.use(async ({ req }, next) => {
    const host = req.header('host') ?? new URL(req.url).host
    const origin = req.header('origin')
    if (!allowedHosts.has(hostNameOf(`http://${host}`))) return jsonRpcResponse(403, 'server', 'Host not allowed.')
    if (origin !== undefined && !isOrigin(origin)) return jsonRpcResponse(403, 'server', 'Origin not allowed.')
    return await next()
  })
  app.use(
    cors({
      origin: (origin) => (isOrigin(origin) ? origin : null),
      allowMethods: methods,
      allowHeaders: [
        'Authorization',
        'Content-Type',
        'Last-Event-ID',
        'Mcp-Method',
        'Mcp-Name',
        'Mcp-Protocol-Version',
        'Mcp-Session-Id',
      ],
      exposeHeaders: ['Mcp-Session-Id', 'WWW-Authenticate'],
    }),
  )
  app.get('/healthz', ({ json }) => json({ ok: true }))
  if (auth.type === 'oauth') {
    const metadata = metadataOf(auth)
    // RFC 9728: the path of the resource follows the well-known path; older clients use the latter alone.
    const paths = new Set([metadataPath, `${metadataPath}${mcpPath}`, metadataUrlOf(auth).pathname])
    app.get(`${metadataPath}/*`, async ({ req, json }, next) => {
      return paths.has(new URL(req.url).pathname) ? json(metadata) : await next()
    })
  }
  app.use(mcpPath, async (context, next) => {
    const { method } = context.req
    if (!methods.includes(method)) {
      return jsonRpcResponse(405, 'server', 'Use POST, GET or DELETE.', { Allow: methods.join(', ') })
    }
    const identity = await authenticate(context.req.raw.headers, context.req.raw.signal)
    if (typeof identity === 'string') return refusal(identity, auth)
    context.set('identity', identity)
    return await next()
  })
  const onTooLarge = (): Response => jsonRpcResponse(413, 'server', `The body has more than ${maxBodyBytes} bytes.`)
  app.use(mcpPath, bodyLimit({ maxSize: maxBodyBytes, onError: onTooLarge }))
  app.all(mcpPath, async ({ req, get }) => await answerMcp(req.raw, get('identity'), { sessions, auth, protocol }))

  return {
    async fetch(request) {
      return sessions.isClosed ? closingResponse() : await app.fetch(request)
    },
    get sessionCount() {
      return sessions.size
    },
    [Symbol.asyncDispose]: () => sessions[Symbol.asyncDispose](),
  }
}

interface McpContext {
  sessions: McpSessions
  auth: McpAuth
  protocol: Protocol
}

async function answerMcp(
  request: Request,
  identity: Identity,
  { sessions, auth, protocol }: McpContext,
): Promise<Response> {
  const id = request.headers.get('mcp-session-id')
  const session = id === null ? undefined : sessions.find(id, identity.subject)
  // With 404 a client knows that it must initialize again. The session of another user is answered like an unknown one.
  if (id !== null && !session) return jsonRpcResponse(404, 'sessionNotFound', 'Session not found. Initialize again.')
  if (request.method !== 'POST') {
    if (isStateless(request, undefined, protocol)) {
      return jsonRpcResponse(405, 'server', 'Use POST.', { Allow: 'POST' })
    }
    return session
      ? await session.answer(request, undefined)
      : jsonRpcResponse(400, 'server', 'The header Mcp-Session-Id is missing. Initialize first, by POST.')
  }
  const body = await bodyOf(request)
  if (body instanceof Response) return body
  if (session) return await session.answer(request, body)
  const { subject, userId } = identity
  const user: OpeningUser = {
    subject,
    async open() {
      const client = await identity.openClient(request.signal)
      return client ? { subject, userId, client } : refusal('invalid_token', auth)
    },
  }
  if (isStateless(request, body, protocol)) {
    const opened = await sessions.stateless(user)
    return opened instanceof Response ? opened : await opened.answer(request, body)
  }
  if (isInitialize(body)) return await sessions.initialize(request, body, user)
  return jsonRpcResponse(400, 'server', 'The header Mcp-Session-Id is missing. The first request must be initialize.')
}

/** True for a request of protocol 2026-07-28, which needs no session of its client. */
function isStateless({ headers }: Request, body: unknown, protocol: Protocol): boolean {
  if (protocol !== 'auto') return protocol === '2026-07-28'
  return headers.get('mcp-protocol-version') === '2026-07-28' || namesVersion(body)
}

/** The parsed body, or the response that refuses it. */
async function bodyOf(request: Request): Promise<unknown> {
  if (!/^application\/json *(;|$)/i.test(request.headers.get('content-type') ?? '')) {
    return jsonRpcResponse(415, 'server', 'The header Content-Type must be application/json.')
  }
  let body: unknown
  try {
    body = await request.json()
  } catch {
    return jsonRpcResponse(400, 'parseError', 'The body is not JSON.')
  }
  if (!Array.isArray(body)) return body
  return jsonRpcResponse(400, 'invalidRequest', 'Batches are not supported. Send one message per request.')
}

function isInitialize(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'method' in body && body.method === 'initialize'
}

const refusals: Readonly<Record<AuthFault, { status: number; message: string }>> = {
  missing: { status: 401, message: 'The header Authorization is missing: Bearer TOKEN.' },
  invalid_token: { status: 401, message: 'The token is not valid.' },
  insufficient_scope: { status: 403, message: 'The token lacks a scope.' },
}

function refusal(fault: AuthFault, auth: McpAuth): Response {
  const { status, message } = refusals[fault]
  const parts: string[] = []
  if (fault !== 'missing') parts.push(`error="${fault}"`, `error_description="${message}"`)
  if (auth.type === 'oauth') {
    const { requiredScopes = [] } = auth
    if (requiredScopes.length > 0) parts.push(`scope="${requiredScopes.join(' ')}"`)
    parts.push(`resource_metadata="${metadataUrlOf(auth).href}"`)
  }
  return jsonRpcResponse(status, 'server', message, {
    'WWW-Authenticate': ['Bearer', parts.join(', ')].join(' ').trim(),
  })
}

function metadataOf({ resource, authorizationServers, requiredScopes }: Extract<McpAuth, { type: 'oauth' }>): object {
  return {
    resource,
    authorization_servers: authorizationServers,
    ...(requiredScopes && { scopes_supported: requiredScopes }),
    bearer_methods_supported: ['header'],
    resource_name: 'Theazo',
  }
}

/** The URL of the metadata (RFC 9728). @throws {ConfigurationError} if the resource is no URL. */
function metadataUrlOf({ resource }: Extract<McpAuth, { type: 'oauth' }>): URL {
  const url = URL.parse(resource)
  if (!url) throw configurationError(`auth.resource must be the public URL of this server, not '${resource}'.`)
  return new URL(`${metadataPath}${url.pathname === '/' ? '' : url.pathname}`, url)
}

/** The host name as {@link hostNameOf} returns it. @throws {ConfigurationError} if it is none. */
function allowedHost(name: string): string {
  const url = URL.parse(`http://${name}`)
  if (url?.pathname === '/' && url.search === '' && url.hash === '') return url.hostname
  throw configurationError(`allowedHosts has '${name}'. It must be a host name, such as mcp.example.com.`)
}

/** The host name of a URL without its port; empty if it is not a URL. */
function hostNameOf(url: string): string {
  return URL.parse(url)?.hostname ?? ''
}
