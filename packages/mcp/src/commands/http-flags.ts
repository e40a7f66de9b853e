import { isIPv4 } from 'node:net'
import type { Bounds } from '../calls/answer-seconds.ts'
import type { McpAuth } from '../http/mcp-auth.ts'
import { loopbackHosts } from '../http/loopback-hosts.ts'
import { type OAuthValues, oauthOptions, oauthUsage, parseOAuth } from './oauth-flags.ts'
import { sessionsPerUserBounds } from '../session-pool.ts'
import { parseWholeNumber } from './whole-number.ts'

/** The flags of `theazo-mcp http`. */
export interface HttpFlags {
  host: string
  port: number
  auth: McpAuth
  /** Host names that clients use for this server. */
  allowedHosts: readonly string[]
  allowedOrigins: readonly string[]
  /** The cap on MCP sessions of one user. */
  maxSessionsPerUser: number
}

const portBounds: Bounds = { min: 0, max: 65_535, default: 4021 }
const minTokenChars = 16

/** The options for `parseArgs`. */
export const httpOptions = {
  host: { type: 'string' },
  port: { type: 'string' },
  auth: { type: 'string' },
  'allow-host': { type: 'string', multiple: true },
  'allow-origin': { type: 'string', multiple: true },
  'max-sessions-per-user': { type: 'string' },
} as const

/** The part of --help. */
export const httpUsage: string = `  only with http:
  --port PORT             the port; 0 chooses a free one   (default ${portBounds.default})
  --host ADDRESS          the address to listen on   (default 127.0.0.1: this machine only)
  --auth MODE             api-key: each client sends its own Theazo API key as bearer token   (default)
                          token: clients send the token in THEAZO_MCP_TOKEN   (default if it is set)
                          oauth: clients send an access token; each subject is a Theazo user
                          (default with --oauth-issuer)
                          none: no token, on this machine only   (default with --local)
${oauthUsage}
  --allow-host NAME       a host name that clients use for this server; may be repeated
  --allow-origin ORIGIN   a web page that may connect, such as https://example.com; may be repeated
  --max-sessions-per-user N
                          the cap on MCP sessions of one user   (default ${sessionsPerUserBounds.default}); with token and
                          none all clients are one user`

interface HttpValues extends OAuthValues {
  host?: string | undefined
  port?: string | undefined
  auth?: string | undefined
  'allow-host'?: string[] | undefined
  'allow-origin'?: string[] | undefined
  'max-sessions-per-user'?: string | undefined
}

/** @throws {Error} for an invalid flag. The message is one line. */
export function parseHttpFlags(values: HttpValues, { isLocal, token }: AuthDefaults): HttpFlags {
  const host = values.host ?? '127.0.0.1'
  const auth = parseAuth(values, { isLocal, token })
  const names = values['allow-host'] ?? []
  if (auth.type === 'oauth') names.push(new URL(auth.resource).hostname)
  const isLoopback = host === '::1' || host === 'localhost' || (isIPv4(host) && host.startsWith('127.'))
  if (auth.type === 'none' && !isLoopback) {
    throw new Error('--auth none is only for this machine: with --host, set THEAZO_MCP_TOKEN or use --auth api-key.')
  }
  if (auth.type === 'api-key' && isLocal) {
    throw new Error('--auth api-key cannot be combined with --local, which has no API keys of its own users.')
  }
  if (!isLoopback && names.length === 0) {
    throw new Error(`--host ${host} needs --allow-host NAME: the host name that clients use for this server.`)
  }
  return {
    host,
    port: parseWholeNumber('--port', values.port, portBounds),
    auth,
    allowedHosts: [...loopbackHosts, ...names.map(parseHostName)],
    allowedOrigins: (values['allow-origin'] ?? []).map(parseOrigin),
    maxSessionsPerUser: parseWholeNumber(
      '--max-sessions-per-user',
      values['max-sessions-per-user'],
      sessionsPerUserBounds,
    ),
  }
}

interface AuthDefaults {
  isLocal: boolean
  token: string | undefined
}

function parseAuth(values: HttpValues, { isLocal, token }: AuthDefaults): McpAuth {
  const hasOAuth = Object.keys(oauthOptions).some((name) => name in values)
  const mode = values.auth ?? (hasOAuth ? 'oauth' : token !== undefined ? 'token' : isLocal ? 'none' : 'api-key')
  if (mode === 'oauth') return parseOAuth(values)
  if (hasOAuth) throw new Error(`The flags --oauth-… are only for --auth oauth, not for '${mode}'.`)
  if (mode === 'none' || mode === 'api-key') return { type: mode }
  if (mode !== 'token') throw new Error(`--auth must be api-key, token, oauth or none, not '${mode}'.`)
  if (token !== undefined && token.length >= minTokenChars && !/\s/.test(token)) return { type: 'token', token }
  throw new Error(`THEAZO_MCP_TOKEN must have at least ${minTokenChars} characters, without white space.`)
}

function parseHostName(name: string): string {
  const url = URL.parse(`http://${name}`)
  if (url && url.pathname === '/' && !/:\d+$/.test(name)) return url.hostname
  throw new Error(`--allow-host needs a host name without a port, not '${name}'.`)
}

function parseOrigin(origin: string): string {
  if (URL.parse(origin)?.origin === origin) return origin
  throw new Error(`--allow-origin needs an origin such as https://example.com, not '${origin}'.`)
}
