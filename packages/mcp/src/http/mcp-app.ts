import { Theazo } from '@theazo/core'
import { configurationError } from '@theazo/core/tools'
import { checkedTools, type ToolOptions } from '../calls/tool-options.ts'
import { McpHandlers } from '../mcp-handlers.ts'
import { type Protocol, protocols } from '../protocol.ts'
import { createSessionPool, idleSecondsBounds, sessionsPerUserBounds } from '../session-pool.ts'
import { loopbackHosts } from './loopback-hosts.ts'
import { createAuthenticator, type McpAuth } from './mcp-auth.ts'
import { createMcpHttp, type McpHttp } from './mcp-http.ts'

/**
 * Options of {@link createTheazoMcpApp}.
 *
 * @example
 * ```ts
 * import type { TheazoMcpAppOptions } from '@theazo/mcp/http'
 *
 * const options: TheazoMcpAppOptions = { auth: { type: 'api-key' }, allowedHosts: ['mcp.example.com'] }
 * ```
 */
export interface TheazoMcpAppOptions extends ToolOptions {
  /** How clients authenticate. */
  auth: McpAuth
  /** The client for all users. Default: `new Theazo()` at the first use. With `api-key` each user has another client. */
  client?: Theazo | undefined
  /** Returns the client of one API key. Default: `new Theazo({ apiKey })`, which reads THEAZO_BASE_URL. */
  clientOfKey?: ((apiKey: string) => Theazo) | undefined
  /** The Theazo user of all clients. With `oauth` the user is the subject of the token. Default `mcp`. */
  userId?: string | undefined
  /** The name of each user's sandbox, if it should outlive an MCP session. Default: a new sandbox for each session. */
  sandboxName?: string | undefined
  /**
   * Seconds without a request until an MCP session and its sandbox end, and without use until the sandbox alone ends.
   * Longer than `answerSeconds`, at most 604,800; default 1800.
   */
  idleTimeoutSeconds?: number | undefined
  /**
   * Host names that clients use for this server, in any case; a port is ignored. Default: those of this machine
   * (127.0.0.1, localhost, [::1]).
   */
  allowedHosts?: readonly string[] | undefined
  /** Origins of other web pages that may connect. Default: none. Pages from `allowedHosts` may. */
  allowedOrigins?: readonly string[] | undefined
  /** The cap on MCP sessions. Above it new ones are refused with 503. Default 1000. */
  maxSessions?: number | undefined
  /**
   * The cap on MCP sessions of one user. Above it new ones are refused with 429. With `none` and `token` all clients are
   * one user. Default 100.
   */
  maxSessionsPerUser?: number | undefined
  /**
   * The versions of the protocol that clients may speak. Version 2026-07-28 has no sessions: all clients of a user share
   * one sandbox. So `auto`, the default, serves it only with `oauth`, where each user has a subject.
   */
  protocol?: Protocol | undefined
  /** Receives unexpected errors and faults of the clean-up. Default: they are ignored. */
  onError?: ((error: unknown) => void) | undefined
}

const defaultMaxSessions = 1000

/**
 * Creates the MCP server for Streamable HTTP as a function from requests to responses, for any server of the platform.
 * The endpoint is `/mcp`. Each MCP session has its own sandbox. Disposing the app ends all sessions.
 *
 * @throws {ConfigurationError} if an option is invalid or if no tool remains.
 * @example
 * ```ts
 * import { createTheazoMcpApp } from '@theazo/mcp/http'
 *
 * await using app = createTheazoMcpApp({ auth: { type: 'api-key' } })
 * const response = await app.fetch(new Request('http://127.0.0.1/healthz'))
 * ```
 */
export function createTheazoMcpApp(options: TheazoMcpAppOptions): McpHttp {
  const { auth, groups, only, readOnly, images, approve, sandboxName } = options
  const { userId = 'mcp', maxSessions = defaultMaxSessions, onError = () => {} } = options
  const { maxSessionsPerUser = sessionsPerUserBounds.default, protocol = 'auto' } = options
  const { idleTimeoutSeconds = idleSecondsBounds.default } = options
  const { answerSeconds } = checkedTools(options) // a session would report a fault only to its client
  assertIdleTimeout(idleTimeoutSeconds, answerSeconds)
  assertCount('maxSessions', maxSessions)
  assertCount('maxSessionsPerUser', maxSessionsPerUser)
  if (userId === '') throw configurationError('userId must not be empty.')
  const tools = { groups, only, readOnly, images, answerSeconds, approve }
  let { client } = options
  return createMcpHttp({
    auth,
    authenticate: createAuthenticator({
      auth,
      userId,
      client: () => (client ??= new Theazo()),
      clientOfKey: options.clientOfKey ?? ((apiKey) => new Theazo({ apiKey })),
    }),
    openServer({ client, userId }) {
      const pool = createSessionPool(client, { sandboxName, idleTimeoutSeconds })
      const handlers = new McpHandlers({ client, userId, pool, ...tools })
      handlers.onError = onError
      return {
        async connect(session) {
          const { connectHttpV1, createServerV1 } = await import('../sdk-v1/http-connection.ts')
          return await connectHttpV1(createServerV1(handlers), session)
        },
        async connectStateless() {
          const { connectHttpV2 } = await import('../sdk-v2/http-connection.ts')
          return connectHttpV2(handlers, onError)
        },
        [Symbol.asyncDispose]: () => pool.dispose(),
      }
    },
    idleMs: idleTimeoutSeconds * 1000,
    protocol: protocolOf(protocol, auth),
    maxSessions,
    maxSessionsPerUser,
    allowedHosts: options.allowedHosts ?? loopbackHosts,
    allowedOrigins: options.allowedOrigins ?? [],
    onError,
  })
}

/** Without `oauth`, users who share a key or a token would share a sandbox as well. */
function protocolOf(protocol: Protocol, { type }: McpAuth): Protocol {
  if (!protocols.includes(protocol)) throw configurationError(`protocol must be ${protocols.join(', ')}.`)
  return protocol === 'auto' && type !== 'oauth' ? '2025-11-25' : protocol
}

function assertIdleTimeout(seconds: number, answerSeconds: number): void {
  if (Number.isInteger(seconds) && seconds > answerSeconds && seconds <= idleSecondsBounds.max) return
  throw configurationError(
    `idleTimeoutSeconds must be a whole number above answerSeconds (${answerSeconds}) and at most ${idleSecondsBounds.max}, not ${seconds}.`,
  )
}

function assertCount(option: string, count: number): void {
  if (Number.isInteger(count) && count >= 1) return
  throw configurationError(`${option} must be a whole number of at least 1, not ${count}.`)
}
