import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'

/**
 * True for a public internet address: one outside of the ranges in IANA's special-purpose registries (RFC 6890). An IPv6
 * address that embeds an IPv4 address counts as that address for NAT64 (RFC 6052), through which hosts without IPv4 reach
 * the others; all other embedding forms are not public.
 */
export function isPublicAddress(text: string): boolean {
  if (isIP(text) === 0 || text.includes('%')) return false // a zone id is a link of this machine
  const address = ipaddr.parse(text)
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast'
  const bytes = address.toByteArray()
  if (address.match(nat64)) return isPublicAddress(bytes.slice(-4).join('.'))
  // Only 2000::/3 has ever been allocated (RFC 4291, 2.4); other addresses may get any meaning later.
  return address.range() === 'unicast' && (bytes[0] ?? 0) >> 5 === 1
}

/** True for an address of this machine. Services on its public addresses are not meant for agents. */
export function isOwnAddress(text: string): boolean {
  const normalized = ipaddr.parse(text).toNormalizedString()
  const own = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses)
  return own.some(({ address }) => ipaddr.parse(address).toNormalizedString() === normalized)
}

const nat64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')
