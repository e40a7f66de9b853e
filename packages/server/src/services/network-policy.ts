import type { CreateAgentExtensions } from '@theazo/core'
import type { ComputeProvider } from '../compute/compute-provider.ts'
import { ApiError, SetupError } from '../errors.ts'
import { anyPublicHost, type HostPattern, isCovered, parsePattern } from '../network/host-pattern.ts'

/** The hosts that the operator lets agents have in `network.allow`; undefined: no network access. */
export type NetworkBounds = readonly HostPattern[] | undefined

/**
 * Parses the server's option. Default: any public host, at any port.
 *
 * @throws {SetupError} that names the invalid entry.
 */
export function networkBounds(option: { allow: readonly string[] } | false | undefined): NetworkBounds {
  if (option === false) return undefined
  if (option === undefined) return [anyPublicHost]
  return option.allow.map((entry) => {
    const pattern = parsePattern(entry)
    if (typeof pattern === 'string') throw new SetupError(`network.allow: '${entry}' ${pattern}`)
    return pattern
  })
}

/** @throws {ApiError} 422 that names each entry outside of the operator's bounds. */
export function assertNetworkAllowed(
  bounds: NetworkBounds,
  { name, hasNetwork }: Pick<ComputeProvider, 'name' | 'hasNetwork'>,
  { network }: CreateAgentExtensions,
): void {
  if (!network || network.allow.length === 0) return
  if (!bounds) {
    const message = "is not available: the operator of this server has disabled sandboxes' network access; omit it"
    throw ApiError.invalid({ network: [message] })
  }
  if (!hasNetwork) throw ApiError.invalid({ network: [`is not available with the provider '${name}'; omit it`] })
  const fields: Record<string, string[]> = {}
  for (const [index, entry] of network.allow.entries()) {
    const pattern = parsePattern(entry)
    if (typeof pattern === 'string' || isCovered(bounds, pattern)) continue
    fields[`network.allow.${index}`] = ['is not among the hosts that the operator of this server allows; remove it']
  }
  if (Object.keys(fields).length > 0) throw ApiError.invalid(fields)
}
