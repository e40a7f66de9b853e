import { isIP } from 'node:net'
import { hostOf, splitPort } from './host-name.ts'
import { isPublicAddress } from './public-address.ts'

/** The hosts and ports that one entry of `network.allow` allows. */
export interface HostPattern {
  /** `any`: every public host; `below`: every name that ends in `.host`; `exactly`: that name or address. */
  kind: 'any' | 'below' | 'exactly'
  host: string
  ports: readonly number[] | 'any'
}

/** The default bounds: any public host at any port. */
export const anyPublicHost: HostPattern = { kind: 'any', host: '', ports: 'any' }

/** Ports of an entry without a port. */
const defaultPorts: readonly number[] = [80, 443]

/** Maximum characters of one entry: `*.`, a name and a port. */
export const maxPatternChars = 253 + '*.'.length + ':65535'.length

/** Parses an entry of `network.allow`. @returns the pattern, or a message that continues the field's name. */
export function parsePattern(text: string): HostPattern | string {
  if (text.includes('://')) return 'must be a host without a scheme: write example.org, not https://example.org'
  if (text.includes('/')) return 'must be a host: neither a path nor an address range can be allowed'
  // Bare IPv6 has colons of its own.
  const split = isIP(text) === 6 ? { host: text, port: undefined } : splitPort(text)
  if (!split) return 'must be host or host:port, with a port from 1 to 65535 and IPv6 in brackets'
  const ports = split.port === undefined ? defaultPorts : [split.port]
  if (split.host === '*') return { kind: 'any', host: '', ports }
  const isBelow = split.host.startsWith('*.')
  const host = hostOf(isBelow ? split.host.slice(2) : split.host)
  if (host === undefined) {
    return "must be a host name, '*.' followed by a name, '*', or a public IP address, each with or without :port"
  }
  if (isIP(host) > 0) {
    if (isBelow) return 'must be an address without *. before it'
    if (!isPublicAddress(host)) return `must be public: ${host} is an address that agents can never reach; remove it`
  }
  if (host === 'localhost' || host.endsWith('.localhost')) {
    return "must be public: agents can never reach the server's own machine; remove it"
  }
  return { kind: isBelow ? 'below' : 'exactly', host, ports }
}

/** The patterns of a list that was validated before. */
export function patternsOf(allow: readonly string[]): HostPattern[] {
  return allow.map(parsePattern).filter((pattern) => typeof pattern !== 'string')
}

/** @param host normalized by {@link hostOf}. */
export function isAllowed(patterns: readonly HostPattern[], host: string, port: number): boolean {
  return patterns.some((pattern) => hasPort(pattern, port) && matches(pattern, host))
}

/** True if the patterns allow everything that the entry allows. */
export function isCovered(patterns: readonly HostPattern[], { kind, host, ports }: HostPattern): boolean {
  if (ports === 'any') return patterns.includes(anyPublicHost)
  return ports.every((port) =>
    patterns.some((outer) => {
      if (!hasPort(outer, port)) return false
      if (outer.kind === 'any') return true
      if (kind === 'any') return false
      return kind === 'exactly' ? matches(outer, host) : outer.kind === 'below' && `.${host}`.endsWith(`.${outer.host}`)
    }),
  )
}

function hasPort({ ports }: HostPattern, port: number): boolean {
  return ports === 'any' || ports.includes(port)
}

function matches(pattern: HostPattern, host: string): boolean {
  if (pattern.kind === 'any') return true
  if (pattern.kind === 'exactly') return host === pattern.host
  return isIP(host) === 0 && host.endsWith(`.${pattern.host}`)
}
