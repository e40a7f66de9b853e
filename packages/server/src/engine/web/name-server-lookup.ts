import { Resolver } from 'node:dns/promises'
import type { Lookup } from '../../compute/local/egress/vetted-addresses.ts'

/**
 * Asks name servers, by default those of the machine. `dns.lookup` would occupy one of the two threads that the whole server
 * has for it, and an agent could name hosts whose servers never answer.
 */
export function nameServerLookup(servers?: readonly string[]): Lookup {
  return async (name) => {
    const resolver = new Resolver({ timeout: 5000, tries: 2 })
    if (servers) resolver.setServers(servers)
    const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
    const addresses = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
    const failed = found.find((result) => result.status === 'rejected')
    if (addresses.length === 0 && failed) throw failed.reason
    return addresses
  }
}
