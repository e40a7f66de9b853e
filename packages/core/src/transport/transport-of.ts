import type { Transport } from './transport.ts'

const transports = new WeakMap<object, Transport>()

/** Remembers the transport of a resource, out of sight of inspectors and JSON: it holds the key. */
export function setTransport(resource: object, transport: Transport): void {
  transports.set(resource, transport)
}

/** The transport of a client, a session or an agent of this copy of the package; undefined for anything else. */
export function transportOf(resource: object): Transport | undefined {
  return transports.get(resource)
}
