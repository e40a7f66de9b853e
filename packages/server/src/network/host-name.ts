import { isIP, isIPv6 } from 'node:net'

/** Of a whole name (RFC 1035, 2.3.4), without the dot at its end, and of one label. */
const [maxNameChars, maxLabelChars] = [253, 63]

/** What URLs would take for something else than a host, or drop; other control characters they refuse. */
const notOfHosts = /[\s/@?#\\%|^<>*]/

/**
 * A host as every comparison wants it: lower case, names in Punycode (IDNA as WHATWG URL does it) and without the dot at
 * their end, IPv4 in dotted form whatever way it was written, IPv6 shortened and without brackets.
 *
 * @returns undefined where it is no host.
 */
export function hostOf(text: string): string | undefined {
  if (text.length > maxNameChars + 2 || notOfHosts.test(text)) return undefined
  const written = isIPv6(text) ? `[${text}]` : text
  if (written.includes(':') && !/^\[[^\]]+\]$/.test(written)) return undefined
  const host = URL.parse(`http://${written}/`)
    ?.hostname.replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
  if (!host || isIP(host) || isName(host)) return host || undefined
  return undefined
}

/** A host and its port, `[…]` around IPv6. @returns undefined where it is none; the port may be left out. */
export function splitPort(text: string): { host: string; port: number | undefined } | undefined {
  const [, host, digits] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(text) ?? []
  if (host === undefined) return undefined
  const port = digits === undefined ? undefined : Number(digits)
  return port === 0 || (port ?? 0) > 65_535 ? undefined : { host, port }
}

function isName(host: string): boolean {
  const labels = host.split('.')
  return host.length <= maxNameChars && labels.every((label) => label.length > 0 && label.length <= maxLabelChars)
}
