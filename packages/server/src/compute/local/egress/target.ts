import { hostOf, splitPort } from '../../../network/host-name.ts'
import { EgressRefusal } from './refusal.ts'

/** The host and the port that code asks for. */
export interface Target {
  /** As `hostOf` writes it. */
  host: string
  port: number
}

/** The parts of the URL of a plain request. */
export interface TargetUrl extends Target {
  /** The `Host` header of the request that is sent. */
  authority: string
  /** Path and query, unchanged. */
  path: string
}

/** The target of `CONNECT host:port` (RFC 9110, 9.3.6). @throws {EgressRefusal} 400. */
export function targetOfConnect(authority: string): Target {
  const split = splitPort(authority)
  const host = split && hostOf(split.host)
  if (!host || split.port === undefined) throw new EgressRefusal('invalid', 'CONNECT needs a host and a port')
  return { host, port: split.port }
}

/** The target of a request in absolute form (RFC 9112, 3.2.2). @throws {EgressRefusal} 400. */
export function targetOfUrl(url: string): TargetUrl {
  const [, scheme, authority = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\\]*)([^#]*)/i.exec(url) ?? []
  if (scheme?.toLowerCase() === 'https') {
    throw new EgressRefusal('invalid', 'use CONNECT for https:// URLs, so that nobody reads the request on the way')
  }
  if (scheme?.toLowerCase() !== 'http') {
    throw new EgressRefusal('invalid', 'this is a proxy: it accepts CONNECT, or a request with an absolute http:// URL')
  }
  const split = splitPort(authority)
  const host = split && hostOf(split.host)
  if (!host) throw new EgressRefusal('invalid', 'the URL has no valid host')
  const { port = 80 } = split
  const path = rest.startsWith('/') ? rest : `/${rest}`
  return { host, port, path, authority: `${bracketed(host)}${port === 80 ? '' : `:${port}`}` }
}

/** The target as shown in messages. */
export function nameOf({ host, port }: Target): string {
  return `${bracketed(host)}:${port}`
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
