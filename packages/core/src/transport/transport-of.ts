import type { Transport } from './transport.ts'

const transports = new WeakMap<object, Transport>()

/** Stores the transport of a resource where inspectors and JSON do not see it: the transport contains the API key. */
export function setTransport(resource: object, transport: Transport): void {
  transports.set(resource, transport)
}

/** The transport of a client, session or agent that this copy of the package created; undefined for anything else. */
export function transportOf(resource: object): Transport | undefined {
  return transports.get(resource)
}
