import type { McpAuth } from './http/mcp-auth.ts'
import { loopbackHosts } from './http/loopback-hosts.ts'

/** The flags of `theazo-mcp http`. */
export interface HttpFlags {
  host: string
  port: number
  auth: McpAuth
  /** Host names that clients use for this server. */
  allowedHosts: readonly string[]
  allowedOrigins: readonly string[]
}

const defaultPort = 4021
const minTokenChars = 16

/** The options for `parseArgs`. */
export const httpOptions = {
  host: { type: 'string' },
  port: { type: 'string' },
  auth: { type: 'string' },
  'allow-host': { type: 'string', multiple: true },
  'allow-origin': { type: 'string', multiple: true },
} as const

/** The part of --help. */
export const httpUsage: string = `  only with http:
  --port PORT             the port; 0 chooses a free one   (default ${defaultPort})
  --host ADDRESS          the address to listen on   (default 127.0.0.1: this machine only)
  --auth MODE             api-key: each client sends its own Theazo API key as bearer token   (default)
                          token: clients send the token in THEAZO_MCP_TOKEN   (default if it is set)
                          none: no token, on this machine only   (default with --local)
  --allow-host NAME       a host name that clients use for this server; may be repeated
  --allow-origin ORIGIN   a web page that may connect, such as https://example.com; may be repeated`

interface HttpValues {
  host?: string | undefined
  port?: string | undefined
  auth?: string | undefined
  'allow-host'?: string[] | undefined
  'allow-origin'?: string[] | undefined
}

/** @throws {Error} for an invalid flag. The message is one line. */
export function parseHttpFlags(
  values: HttpValues,
  { isLocal, token }: { isLocal: boolean; token: string | undefined },
): HttpFlags {
  const host = values.host ?? '127.0.0.1'
  const auth = parseAuth(values.auth ?? (token !== undefined ? 'token' : isLocal ? 'none' : 'api-key'), token)
  const names = values['allow-host'] ?? []
  const isLoopback = /^127\.|^(::1|localhost)$/.test(host)
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
    port: parsePort(values.port),
    auth,
    allowedHosts: [...loopbackHosts, ...names.map(parseHostName)],
    allowedOrigins: (values['allow-origin'] ?? []).map(parseOrigin),
  }
}

function parseAuth(mode: string, token: string | undefined): McpAuth {
  if (mode === 'none' || mode === 'api-key') return { type: mode }
  if (mode !== 'token') throw new Error(`--auth must be api-key, token or none, not '${mode}'.`)
  if (token !== undefined && token.length >= minTokenChars && !/\s/.test(token)) return { type: 'token', token }
  throw new Error(`THEAZO_MCP_TOKEN must have at least ${minTokenChars} characters, without white space.`)
}

function parsePort(text: string | undefined): number {
  if (text === undefined) return defaultPort
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port <= 65_535) return port
  throw new Error(`--port needs a whole number from 0 to 65535, not '${text}'.`)
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
