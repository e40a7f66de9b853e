import type { CreateAgentExtensions } from '@theazo/core'
import type { ComputeProvider } from '../compute/compute-provider.ts'
import { ApiError, SetupError } from '../errors.ts'
import { anyPublicHost, type HostPattern, isCovered, parsePattern } from '../network/host-pattern.ts'

/** What agents may ask for at all; undefined: no network. */
export type NetworkOffer = readonly HostPattern[] | undefined

/**
 * From the server's option. Default: any public host, at any port.
 *
 * @throws {SetupError} that names the entry which is none.
 */
export function networkOffer(option: { allow: readonly string[] } | false | undefined): NetworkOffer {
  if (option === false) return undefined
  if (option === undefined) return [anyPublicHost]
  return option.allow.map((entry) => {
    const pattern = parsePattern(entry)
    if (typeof pattern === 'string') throw new SetupError(`network allow: '${entry}' ${pattern}`)
    return pattern
  })
}

/** @throws {ApiError} 422 that names each entry which this server does not let agents have. */
export function assertNetworkOffered(
  offer: NetworkOffer,
  { name, hasNetwork }: Pick<ComputeProvider, 'name' | 'hasNetwork'>,
  { network }: CreateAgentExtensions,
): void {
  if (!network || network.allow.length === 0) return
  if (!offer) {
    const message = 'is not available: sandboxes of this server reach nothing, as its operator has set; leave it out'
    throw ApiError.invalid({ network: [message] })
  }
  if (!hasNetwork) throw ApiError.invalid({ network: [`is not available with the provider '${name}'; leave it out`] })
  const fields: Record<string, string[]> = {}
  for (const [index, entry] of network.allow.entries()) {
    const pattern = parsePattern(entry)
    if (typeof pattern === 'string' || isCovered(offer, pattern)) continue
    fields[`network.allow.${index}`] = ['is beyond what the operator of this server lets agents reach; take it out']
  }
  if (Object.keys(fields).length > 0) throw ApiError.invalid(fields)
}
