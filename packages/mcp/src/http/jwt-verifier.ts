import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose'
import type { TokenVerifier, VerifiedToken } from './mcp-auth.ts'

/**
 * Settings of {@link createJwtVerifier}.
 *
 * @example
 * ```ts
 * import type { JwtVerifierOptions } from '@theazo/mcp/http'
 *
 * const options: JwtVerifierOptions = { issuer: 'https://login.example.com', audience: 'https://mcp.example.com/mcp' }
 * ```
 */
export interface JwtVerifierOptions {
  /** The URL of the authorization server. Its metadata names the URL of its keys. */
  issuer: string
  /** The audience that tokens must name: usually the public URL of the MCP server (RFC 8707). */
  audience: string
}

/** The fields of an authorization server's metadata that name its keys. */
interface IssuerMetadata {
  issuer?: unknown
  jwks_uri?: unknown
}

const fetchTimeoutMs = 10_000
const maxSubjectChars = 256
/** Signatures by a private key. A shared secret, or none, would let the MCP server itself issue tokens. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
/** Faults of the token. Any other fault is one of the authorization server, and no verdict on the token. */
const tokenFaults: ReadonlySet<string> = new Set([
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
  errors.JWKSMultipleMatchingKeys.code,
  errors.JWKSNoMatchingKey.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWTExpired.code,
  errors.JWTInvalid.code,
])

/**
 * Creates a verifier of access tokens that are JWTs (RFC 9068): signature, issuer, audience, expiry and subject. It
 * fetches the metadata (RFC 8414, or OpenID Connect) and the keys of the issuer at the first token, and keeps them.
 *
 * @throws {Error} when it verifies, if the issuer cannot be reached or its metadata is wrong.
 * @example
 * ```ts
 * import { createJwtVerifier } from '@theazo/mcp/http'
 *
 * const verify = createJwtVerifier({ issuer: 'https://login.example.com', audience: 'https://mcp.example.com/mcp' })
 * ```
 */
export function createJwtVerifier({ issuer, audience }: JwtVerifierOptions): TokenVerifier {
  let keys: Promise<JWTVerifyGetKey> | undefined
  return async (token) => {
    keys ??= fetchKeys(issuer)
    keys.catch(() => (keys = undefined)) // the next token tries again
    const getKey = await keys
    try {
      const { payload } = await jwtVerify(token, getKey, {
        issuer,
        audience,
        algorithms,
        requiredClaims: ['exp', 'sub'],
      })
      return verifiedToken(payload)
    } catch (error) {
      if (error instanceof errors.JOSEError && tokenFaults.has(error.code)) return undefined
      throw error
    }
  }
}

function verifiedToken({ sub = '', exp, scope }: JWTPayload): VerifiedToken | undefined {
  if (sub === '' || sub.length > maxSubjectChars) return undefined
  const scopes = typeof scope === 'string' ? scope.split(' ') : []
  return { subject: sub, scopes, expiresAt: exp }
}

/** The fetch has no signal of a request: all tokens wait for the same keys. */
async function fetchKeys(issuer: string): Promise<JWTVerifyGetKey> {
  for (const url of metadataUrls(issuer)) {
    const metadata = await fetchMetadata(url)
    if (!metadata) continue
    // A document of another issuer would replace its keys (RFC 8414, section 3.3).
    if (metadata.issuer !== issuer) throw new Error(`The metadata at ${url} is not that of the issuer ${issuer}.`)
    if (typeof metadata.jwks_uri !== 'string') throw new Error(`The metadata at ${url} has no jwks_uri.`)
    return createRemoteJWKSet(new URL(metadata.jwks_uri), { timeoutDuration: fetchTimeoutMs })
  }
  throw new Error(`The issuer ${issuer} has no metadata.`)
}

/** Undefined for an error, a redirect, and a page that is not JSON: a server may answer unknown paths so. */
async function fetchMetadata(url: string): Promise<IssuerMetadata | undefined> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(fetchTimeoutMs) })
  if (!response.ok) {
    await response.body?.cancel()
    return undefined
  }
  const text = await response.text()
  try {
    const metadata: unknown = JSON.parse(text)
    return typeof metadata === 'object' && metadata !== null ? metadata : undefined
  } catch {
    return undefined
  }
}

/** The well-known URLs of RFC 8414 and of OpenID Connect, which treat a path differently. */
function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
}
