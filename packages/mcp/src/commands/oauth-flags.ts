import { loopbackHosts } from '../http/loopback-hosts.ts'
import type { McpAuth, TokenVerifier } from '../http/mcp-auth.ts'

/** The options for `parseArgs`. */
export const oauthOptions = {
  'oauth-issuer': { type: 'string' },
  'oauth-audience': { type: 'string' },
  'oauth-scope': { type: 'string', multiple: true },
} as const

/** The part of --help. */
export const oauthUsage: string = `  --oauth-issuer URL      the authorization server whose access tokens (JWT) are accepted
  --oauth-audience URL    the public URL of this server, which tokens must name as their audience
  --oauth-scope SCOPE     a scope that tokens must have; may be repeated`

/** The values of the flags. */
export interface OAuthValues {
  'oauth-issuer'?: string | undefined
  'oauth-audience'?: string | undefined
  'oauth-scope'?: string[] | undefined
}

/** Authentication by tokens of an authorization server. @throws {Error} for an invalid flag. The message is one line. */
export function parseOAuth(values: OAuthValues): Extract<McpAuth, { type: 'oauth' }> {
  const issuer = parseUrl('--oauth-issuer', values['oauth-issuer'])
  const audience = parseUrl('--oauth-audience', values['oauth-audience'])
  const requiredScopes = values['oauth-scope'] ?? []
  return {
    type: 'oauth',
    resource: audience,
    authorizationServers: [issuer],
    verify: lazyVerifier(issuer, audience),
    ...(requiredScopes.length > 0 && { requiredScopes }),
  }
}

/** Loads the library for tokens at the first token: the other ways to start the program do not need it. */
function lazyVerifier(issuer: string, audience: string): TokenVerifier {
  let verifier: Promise<TokenVerifier> | undefined
  return async (token, options) => {
    verifier ??= import('../http/jwt-verifier.ts').then(({ createJwtVerifier }) =>
      createJwtVerifier({ issuer, audience }),
    )
    const verify = await verifier
    return await verify(token, options)
  }
}

/** A URL of HTTPS, or of this machine. It is kept as it is written, because tokens repeat it exactly. */
function parseUrl(flag: string, text: string | undefined): string {
  if (text === undefined) throw new Error('--auth oauth needs --oauth-issuer and --oauth-audience.')
  const url = URL.parse(text)
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && loopbackHosts.includes(url.hostname))
  if (isSafe && !url.hash && !url.username) return text
  throw new Error(`${flag} needs a URL such as https://login.example.com, not '${text}'.`)
}
