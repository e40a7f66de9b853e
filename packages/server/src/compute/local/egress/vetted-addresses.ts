import { lookup as dnsLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type HostPattern, isAllowed } from '../../../network/host-pattern.ts'
import { isOwnAddress, isPublicAddress } from '../../../network/public-address.ts'
import { EgressRefusal } from './refusal.ts'
import { nameOf, type Target } from './target.ts'

/** All addresses of a name; rejects where there are none. */
export type Lookup = (name: string) => Promise<readonly string[]>

/** As every other program of this machine resolves names. */
export const systemLookup: Lookup = async (name) => {
  const found = await dnsLookup(name, { all: true })
  return found.map(({ address }) => address)
}

/** What one agent may reach. */
export interface EgressRules {
  /** The agent's own `network.allow`. */
  allow: readonly HostPattern[]
  /** What the operator lets agents ask for. */
  operator: readonly HostPattern[]
}

/** Addresses of a host that are tried. */
const maxAddresses = 8

/**
 * The addresses that a connection may be made to: of a host that is allowed, each of them public. One that is not spoils
 * all: whoever answers for a name can put one beside the others, and would be asked again until that one is first.
 *
 * @throws {EgressRefusal} 403, or 502 where there is no address.
 */
export async function vettedAddresses(target: Target, rules: EgressRules, lookup: Lookup): Promise<string[]> {
  const { host, port } = target
  if (!isAllowed(rules.allow, host, port)) {
    throw new EgressRefusal('not_allowed', `${nameOf(target)} is not in this agent's network.allow`)
  }
  if (!isAllowed(rules.operator, host, port)) {
    throw new EgressRefusal('not_allowed', `${nameOf(target)} is not among what this server lets agents reach`)
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

/** Names of one sandbox that are resolved at a time, and names that may wait. */
const [maxLookups, maxWaiting] = [4, 128]

/**
 * Resolves few names of one sandbox at a time, and each name once: a lookup takes a thread that all sandboxes share, and
 * code could ask for names whose servers never answer.
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
      const waiter = waiting.shift() // takes its place
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
