import { lookup as dnsLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type HostPattern, isAllowed } from '../../../network/host-pattern.ts'
import { isOwnAddress, isPublicAddress } from '../../../network/public-address.ts'
import { EgressRefusal } from './refusal.ts'
import { nameOf, type Target } from './target.ts'

/** Returns all addresses of a name; rejects if there are none. */
export type Lookup = (name: string) => Promise<readonly string[]>

/** Resolves names like every other program of this machine. */
export const systemLookup: Lookup = async (name) => {
  const found = await dnsLookup(name, { all: true })
  return found.map(({ address }) => address)
}

/** The hosts that one agent may reach: they must be in both lists. */
export interface EgressRules {
  /** The agent's own `network.allow`. */
  allow: readonly HostPattern[]
  /** The hosts that the operator allows for all agents. */
  operator: readonly HostPattern[]
}

/** How many addresses of a host are tried. */
const maxAddresses = 8

/**
 * Returns the addresses of an allowed host, to which a connection may be made. All of them must be public. If one is not, the
 * host is refused: its name server could return a private address beside public ones, and code could repeat the request
 * until the private one comes first.
 *
 * @throws {EgressRefusal} 403 if it is not allowed, or 502 if there is no address.
 */
export async function vettedAddresses(target: Target, rules: EgressRules, lookup: Lookup): Promise<string[]> {
  const { host, port } = target
  if (!isAllowed(rules.allow, host, port)) {
    throw new EgressRefusal('not_allowed', `${nameOf(target)} is not in this agent's network.allow`)
  }
  if (!isAllowed(rules.operator, host, port)) {
    throw new EgressRefusal(
      'not_allowed',
      `${nameOf(target)} is not among the hosts that this server lets agents reach`,
    )
  }
  const isLiteral = isIP(host) > 0
  const addresses = isLiteral ? [host] : await resolved(host, lookup)
  if (addresses.some((address) => !isPublicAddress(address) || isOwnAddress(address))) {
    const what = isLiteral ? 'is' : 'resolves to'
    throw new EgressRefusal('not_public', `${host} ${what} an address that is not public`)
  }
  return addresses.slice(0, maxAddresses)
}

async function resolved(host: string, lookup: Lookup): Promise<readonly string[]> {
  const addresses = await lookup(host).catch((error: NodeJS.ErrnoException) => {
    if (error instanceof EgressRefusal) throw error
    throw new EgressRefusal('unresolved', `${host} cannot be resolved${error.code ? ` (${error.code})` : ''}`)
  })
  if (addresses.length === 0) throw new EgressRefusal('unresolved', `${host} cannot be resolved`)
  return addresses
}

/** How many names of one sandbox are resolved at a time, and how many may wait. */
const [maxLookups, maxWaiting] = [4, 128]

/**
 * Limits the concurrent lookups of one sandbox, and joins lookups of the same name: a lookup occupies a thread of a pool that
 * all sandboxes share, and code could request names whose servers never answer.
 */
export function limitLookups(lookup: Lookup): Lookup {
  const running = new Map<string, Promise<readonly string[]>>()
  const waiting: (() => void)[] = []
  let count = 0
  const next = async (name: string): Promise<readonly string[]> => {
    if (count < maxLookups) count += 1
    else if (waiting.length < maxWaiting) await new Promise<void>((resolve) => waiting.push(resolve))
    else throw new EgressRefusal('busy', 'too many names are being resolved')
    try {
      return await lookup(name)
    } finally {
      const waiter = waiting.shift() // takes over the slot
      if (waiter) waiter()
      else count -= 1
    }
  }
  return (name) => {
    const pending = running.get(name)
    if (pending) return pending
    const found = next(name).finally(() => running.delete(name))
    running.set(name, found)
    return found
  }
}
