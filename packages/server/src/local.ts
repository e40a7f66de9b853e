import type { ApiKeys } from './keys/api-keys.ts'
import { orAbort } from './or-abort.ts'
import { createServer, type ServerOptions } from './server.ts'

/** A whole server in this process, without a port: what `new Theazo()` takes as its options. */
export interface LocalTheazo extends AsyncDisposable {
  baseUrl: string
  /** The embedded key. */
  apiKey: string
  /** The keys that it accepts; more can be made, for tests too. */
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
 * @throws {SetupError} where the machine cannot isolate sandboxes; the message names the fix.
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

/** An abort rejects at once, as the platform's fetch does; the server sees the same signal and kills what runs. */
async function rejectOnAbort(request: Request, answer: (request: Request) => Promise<Response>): Promise<Response> {
  const { signal } = request
  signal.throwIfAborted()
  const response = await during(request, orAbort(answer(request), signal))
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
  if (!isStream || !response.body) return response
  // Its body goes on after this call, and an abort ends that too.
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  during(request, response.body.pipeTo(writable, { signal })).catch(() => {}) // who reads is told
  return new Response(readable, response)
}

const held = new Set<Request>()

/** A request follows its caller's signal by a weak reference: only while itself is held. */
async function during<Value>(request: Request, work: Promise<Value>): Promise<Value> {
  held.add(request)
  try {
    return await work
  } finally {
    held.delete(request)
  }
}
