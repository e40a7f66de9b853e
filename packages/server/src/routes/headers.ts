import type { Context } from 'hono'
import type { Environment } from './environment.ts'

/*
 * Over a port, headers of every request are read from Node's request and written to its response: by way of the
 * platform's `Headers` they cost as much as all else about a request.
 */

/** A header of the request; the name in lower case. */
export function readHeader(c: Context<Environment>, name: string): string | undefined {
  const incoming = c.env?.incoming
  if (!incoming) return c.req.header(name)
  const value = incoming.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** Sets a header of the answer, before it is made. */
export function tellHeader(c: Context<Environment>, name: string, value: string): void {
  const outgoing = c.env?.outgoing
  if (outgoing) outgoing.setHeader(name, value)
  else c.header(name, value)
}
