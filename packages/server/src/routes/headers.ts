import type { Call } from './environment.ts'

/** A header of the request; the name in lower case. Over a port it is read from Node's request: no `Headers` is made for it. */
export function readHeader(request: Request, { incoming }: Call, name: string): string | undefined {
  if (!incoming) return request.headers.get(name) ?? undefined
  const value = incoming.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** Adds a header to the answer, before it is made; the name in lower case. */
export function tellHeader(call: Call, name: string, value: string): void {
  call.told[name] = value
}
