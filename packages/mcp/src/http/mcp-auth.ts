import { createHash, timingSafeEqual } from 'node:crypto'
import { ConfigurationError, type Theazo, UnauthorizedError } from '@theazo/core'

/** The facts in an access token that its verifier has accepted. */
export interface VerifiedToken {
  /** The user. Each subject has its own Theazo session. 1 to 256 characters. */
  subject: string
  /** The scopes of the token. Default: none. */
  scopes?: readonly string[] | undefined
  /** Seconds since 1970. A token that has expired is refused. */
  expiresAt?: number | undefined
}

/**
 * Verifies an access token: its signature, its issuer, and that it was issued for this server.
 *
 * @returns undefined if the token is not valid.
 */
export type TokenVerifier = (token: string, options: { signal: AbortSignal }) => Promise<VerifiedToken | undefined>

/**
 * How clients of the HTTP server authenticate.
 *
 * - `none`: not at all. Only for a server that nobody else can reach.
 * - `token`: with one static token. All clients are one Theazo user.
 * - `api-key`: with their own Theazo API key, which the server uses for their requests.
 * - `oauth`: with an access token of an authorization server. Each subject is a Theazo user.
 *
 * @example
 * ```ts
 * import type { McpAuth } from '@theazo/mcp/http'
 *
 * const auth: McpAuth = {
 *   type: 'oauth',
 *   resource: 'https://mcp.example.com/mcp',
 *   authorizationServers: ['https://login.example.com'],
 *   verify: async (token) => (token === 'known' ? { subject: 'user_123' } : undefined),
 * }
 * ```
 */
export type McpAuth =
  | { type: 'none' }
  | { type: 'api-key' }
  | { type: 'token'; token: string }
  | {
      type: 'oauth'
      /** The public URL of this server, as clients use it. */
      resource: string
      /** The issuers of tokens, as the metadata names them to clients. `verify` decides which tokens are accepted. */
      authorizationServers: readonly string[]
      verify: TokenVerifier
      /** Scopes that each token must have. Default: none. */
      requiredScopes?: readonly string[] | undefined
    }

/** The user of a request. */
export interface Identity {
  /** Equal for requests of the same user. It contains no secret. */
  subject: string
  userId: string
  /** The client for a new MCP session. Undefined if the API refuses the user's key. */
  openClient: (signal: AbortSignal) => Promise<Theazo | undefined>
}

/** The reason for a refused request. `missing`: it has no token. */
export type AuthFault = 'missing' | 'invalid_token' | 'insufficient_scope'

/** Settings of {@link createAuthenticator}. */
export interface AuthenticatorOptions {
  auth: McpAuth
  /** The user of all clients if they are not told apart. */
  userId: string
  /** The client for all users. It is called at the first use, and not with `api-key`. */
  client: () => Theazo
  /** The client of one API key. */
  clientOfKey: (apiKey: string) => Theazo
}

/** Returns the user of a request, or why it is refused. */
export type Authenticate = (headers: Headers, signal: AbortSignal) => Promise<Identity | AuthFault>

const maxTokenChars = 16_384

/** Creates the check of a request's `Authorization` header. */
export function createAuthenticator({ auth, userId, client, clientOfKey }: AuthenticatorOptions): Authenticate {
  const openClient = async (): Promise<Theazo> => client()
  if (auth.type === 'none') return async () => ({ subject: 'everyone', userId, openClient })
  if (auth.type === 'token') {
    const expected = hashOf(auth.token)
    return withToken(async (token) =>
      timingSafeEqual(hashOf(token), expected) ? { subject: 'token', userId, openClient } : 'invalid_token',
    )
  }
  if (auth.type === 'api-key') {
    return withToken(async (token) => ({
      subject: hashOf(token).toString('hex'),
      userId,
      openClient: async (signal) => await acceptedClient(() => clientOfKey(token), signal),
    }))
  }
  const { verify, requiredScopes = [] } = auth
  return withToken(async (token, signal) => {
    const verified = await verify(token, { signal })
    if (!verified || (verified.expiresAt !== undefined && verified.expiresAt <= Date.now() / 1000))
      return 'invalid_token'
    if (!requiredScopes.every((scope) => verified.scopes?.includes(scope))) return 'insufficient_scope'
    return { subject: `subject:${verified.subject}`, userId: verified.subject, openClient }
  })
}

function withToken(check: (token: string, signal: AbortSignal) => Promise<Identity | AuthFault>): Authenticate {
  return async (headers, signal) => {
    const [, token] = /^bearer +(\S+) *$/i.exec(headers.get('authorization') ?? '') ?? []
    if (token === undefined) return 'missing'
    return token.length > maxTokenChars ? 'invalid_token' : await check(token, signal)
  }
}

/**
 * The client, if the API accepts its key. Another fault of the API is left to the tools, which report it to the model.
 *
 * @throws the error of `open`, if it is no verdict on the key.
 */
async function acceptedClient(open: () => Theazo, signal: AbortSignal): Promise<Theazo | undefined> {
  let client: Theazo | undefined
  try {
    client = open()
    await client.sessions.list({ limit: 1, signal }).page()
    return client
  } catch (error) {
    signal.throwIfAborted()
    if (UnauthorizedError.isInstance(error) || ConfigurationError.isInstance(error)) return undefined
    if (!client) throw error
    return client
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
