import type { Context } from 'hono'
import type { Environment } from './environment.ts'

/** A header of the request; the name in lower case. Over a port it is read from Node's request: no `Headers` is made for it. */
export function readHeader(c: Context<Environment>, name: string): string | undefined {
  const incoming = c.env?.incoming
  if (!incoming) return c.req.header(name)
  const value = incoming.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** Adds a header to the answer, before it is made; the name in lower case. */
export function tellHeader(c: Context<Environment>, name: string, value: string): void {
  c.get('told')[name] = value
}
