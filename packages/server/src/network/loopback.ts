import { isIP } from 'node:net'

/** True for an address of this machine's loopback, or its name. IPv6 without brackets. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
