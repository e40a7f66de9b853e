import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A proxy in front of a server. */
export interface TestProxy extends AsyncDisposable {
  /** Base URL, ends in `/v1`. */
  url: string
}

/** The requests and responses that a proxy changes. */
export interface TestProxyOptions {
  /** Returns true for a request that the proxy must never answer. */
  isUnanswered?: (request: IncomingMessage) => boolean
  /** Headers to remove from responses. */
  hiddenHeaders?: readonly string[]
}

/** Starts a proxy that imitates a server that does not respond, or a server without extensions. */
export async function startProxy(
  target: string,
  { isUnanswered, hiddenHeaders = [] }: TestProxyOptions,
): Promise<TestProxy> {
  const server = createServer((incoming, outgoing) => {
    if (isUnanswered?.(incoming)) return
    const { method, headers, url } = incoming
    const forwarded = request(new URL(url ?? '/', target), { method, headers }, (answer) => {
      const kept = Object.entries(answer.headers).filter(([name]) => !hiddenHeaders.includes(name))
      outgoing.writeHead(answer.statusCode ?? 500, Object.fromEntries(kept))
      answer.pipe(outgoing)
    })
    outgoing.on('close', () => forwarded.destroy())
    forwarded.on('error', () => outgoing.destroy())
    incoming.pipe(forwarded)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a server that listens on a TCP port
  return {
    url: `http://127.0.0.1:${port}/v1`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
