import { once } from 'node:events'
import { connect, isIP, type LookupFunction, type Socket } from 'node:net'
import { orAbort } from '../../../or-abort.ts'
import { EgressRefusal } from './refusal.ts'
import { nameOf, type Target } from './target.ts'
import { type EgressRules, type Lookup, vettedAddresses } from './vetted-addresses.ts'

/** If a host has several addresses: how long each is tried before the next one. */
const attemptMs = 2_500

/** The rules and limits for connections of one sandbox. */
export interface EgressRoute {
  rules: EgressRules
  lookup: Lookup
  /** From the request to the connection, including the lookup. */
  connectTimeoutMs: number
  /** Opens a connection to one of the addresses, which have been checked. Default: TCP. */
  open?: OpenSocket | undefined
}

/** Opens a connection to the first address that answers. */
export type OpenSocket = (target: Target, addresses: readonly string[], ended: AbortSignal) => Promise<Socket>

/**
 * Connects to a target, if the rules allow it. Either half of the connection may be closed before the other.
 *
 * @param signal aborts when the client or the proxy has ended.
 * @throws {EgressRefusal} or the signal's reason.
 */
export async function connectTo(target: Target, route: EgressRoute, signal: AbortSignal): Promise<Socket> {
  const timeout = AbortSignal.timeout(route.connectTimeoutMs)
  const ended = AbortSignal.any([signal, timeout])
  try {
    ended.throwIfAborted() // nothing would report it later
    const addresses = await orAbort(vettedAddresses(target, route.rules, route.lookup), ended)
    return await (route.open ?? opened)(target, addresses, ended)
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (error instanceof EgressRefusal) throw error
    const seconds = route.connectTimeoutMs / 1000
    if (timeout.aborted) throw new EgressRefusal('timeout', `${nameOf(target)} did not answer within ${seconds} s`)
    throw new EgressRefusal('unreachable', `cannot connect to ${nameOf(target)} (${codeOf(error)})`)
  }
}

/** Connects to the given addresses only: the name is not resolved again, as its addresses may have changed since. */
const opened: OpenSocket = async ({ host, port }, addresses, ended) => {
  const vetted = addresses.map((address) => ({ address, family: isIP(address) }))
  const lookup: LookupFunction = (_name, _options, callback) => callback(null, vetted)
  const tries = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: attemptMs }
  const socket = connect({ host, port, lookup, ...tries, allowHalfOpen: true, noDelay: true })
  socket.on('error', () => {}) // the close event follows, which is handled
  try {
    await once(socket, 'connect', { signal: ended })
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function codeOf(error: unknown): string {
  const { code, errors } = error as { code?: string; errors?: { code?: string }[] } // of one attempt, or of several
  return errors?.at(-1)?.code ?? code ?? 'no reason given'
}
