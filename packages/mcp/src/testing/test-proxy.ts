import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A proxy before a server. */
export interface TestProxy extends AsyncDisposable {
  /** Base URL, ends in `/v1`. */
  url: string
}

/** What a proxy does otherwise than to pass on. */
export interface TestProxyOptions {
  /** True for a request that is never answered. */
  holds?: (request: IncomingMessage) => boolean
  /** Headers that are taken out of answers. */
  hidden?: readonly string[]
}

/** Starts a proxy before a server, for servers that do not answer, or are of another kind. */
export async function startProxy(target: string, { holds, hidden = [] }: TestProxyOptions): Promise<TestProxy> {
  const server = createServer((incoming, outgoing) => {
    if (holds?.(incoming)) return
    const { method, headers, url } = incoming
    const forwarded = request(new URL(url ?? '/', target), { method, headers }, (answer) => {
      const kept = Object.entries(answer.headers).filter(([name]) => !hidden.includes(name))
      outgoing.writeHead(answer.statusCode ?? 500, Object.fromEntries(kept))
      answer.pipe(outgoing)
    })
    outgoing.on('close', () => forwarded.destroy())
    forwarded.on('error', () => outgoing.destroy())
    incoming.pipe(forwarded)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // it listens on a port
  return {
    url: `http://127.0.0.1:${port}/v1`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
