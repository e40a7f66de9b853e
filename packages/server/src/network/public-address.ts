import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'

/**
 * True for an address that anybody on the internet may have: in none of the ranges that IANA's special-purpose
 * registries (RFC 6890) set aside. Where an IPv6 address carries one of IPv4 it counts as that one for NAT64 (RFC 6052),
 * through which hosts without IPv4 reach all others, and as not public in every other form.
 */
export function isPublicAddress(text: string): boolean {
  if (isIP(text) === 0 || text.includes('%')) return false // a zone is of this machine's own links
  const address = ipaddr.parse(text)
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast'
  const bytes = address.toByteArray()
  if (address.match(nat64)) return isPublicAddress(bytes.slice(-4).join('.'))
  // 2000::/3 is all that has ever been given out (RFC 4291, 2.4): what is outside may mean anything later.
  return address.range() === 'unicast' && (bytes[0] ?? 0) >> 5 === 1
}

/** True for the addresses of this machine: what listens on a public one of them was not meant for agents. */
export function isOwnAddress(text: string): boolean {
  const asked = ipaddr.parse(text).toNormalizedString()
  const own = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses)
  return own.some(({ address }) => ipaddr.parse(address).toNormalizedString() === asked)
}

const nat64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')
