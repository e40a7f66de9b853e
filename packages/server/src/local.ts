import type { ApiKeys } from './keys/api-keys.ts'
import { orAbort } from './or-abort.ts'
import { createServer, type ServerOptions } from './server.ts'

/** A whole server in this process, without a port. It is also the options of `new Theazo()`. */
export interface LocalTheazo extends AsyncDisposable {
  baseUrl: string
  /** The embedded key. */
  apiKey: string
  /** The keys that the server accepts. More can be created, also test keys. */
  keys: ApiKeys
  fetch: typeof globalThis.fetch
}

/**
 * Starts the server inside this process.
 *
 * @example
 * ```ts
 * import { Theazo } from '@theazo/core'
 *
 * await using local = await createLocalTheazo()
 * const theazo = new Theazo(local)
 * ```
 *
 * @throws {SetupError} if the machine cannot isolate sandboxes or the data folder cannot be used; the message names the
 *   fix.
 */
export async function createLocalTheazo(options: ServerOptions = {}): Promise<LocalTheazo> {
  const server = await createServer(options)
  return {
    baseUrl: 'http://theazo.local/v1',
    apiKey: server.apiKey,
    keys: server.keys,
    fetch: (input, init) => rejectOnAbort(new Request(input, init), (request) => server.fetch(request)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** Rejects immediately on abort, like the platform's fetch. The server sees the same signal and kills the code. */
async function rejectOnAbort(request: Request, answer: (request: Request) => Promise<Response>): Promise<Response> {
  const { signal } = request
  signal.throwIfAborted()
  const response = await during(request, orAbort(answer(request), signal))
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
  if (!isStream || !response.body) return response
  // The body continues after this call, and an abort ends it too.
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  during(request, response.body.pipeTo(writable, { signal })).catch(() => {}) // the reader gets the error
  return new Response(readable, response)
}

const liveRequests = new Set<Request>()

/** Keeps the request alive during the work: it follows its caller's signal through a weak reference. */
async function during<Value>(request: Request, work: Promise<Value>): Promise<Value> {
  liveRequests.add(request)
  try {
    return await work
  } finally {
    liveRequests.delete(request)
  }
}
