import type { RequestContext } from './environment.ts'

/**
 * A header of the request. On a connection it is read from Node's request, which saves creating a `Headers` object.
 *
 * @param name in lower case.
 */
export function readHeader(request: Request, { incoming }: RequestContext, name: string): string | undefined {
  if (!incoming) return request.headers.get(name) ?? undefined
  const value = incoming.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** Sets a header of the answer, before the answer is made. @param name in lower case. */
export function setHeader(context: RequestContext, name: string, value: string): void {
  context.answerHeaders[name] = value
}
