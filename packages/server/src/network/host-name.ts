import { isIP, isIPv6 } from 'node:net'

/** Maximum characters of a name without its final dot, and of one label (RFC 1035, 2.3.4). */
const [maxNameChars, maxLabelChars] = [253, 63]

/** Characters that a URL parser would drop or treat as the end of the host. It refuses other control characters. */
const notOfHosts = /[\s/@?#\\%|^<>*]/

/**
 * Normalizes a host: lower case, names in Punycode (WHATWG URL) without their final dot, IPv4 in dotted form, IPv6 shortened
 * and without brackets.
 *
 * @returns undefined if the text is not a host.
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

/** Splits `host` or `host:port`, with IPv6 in brackets. @returns undefined if the text is invalid. */
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
