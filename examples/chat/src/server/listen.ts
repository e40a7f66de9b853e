import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { type ChatAppOptions, createChatApp } from './chat-app.ts'

/** A running chat. On dispose no answer runs, no sandbox exists and the port is closed. */
export interface ListeningChat extends AsyncDisposable {
  /** `http://127.0.0.1:…` */
  url: string
}

/** Starts the chat on a port of this machine. Port 0 chooses a free one. */
export async function listenChat(options: Omit<ChatAppOptions, 'hosts'>, port: number): Promise<ListeningChat> {
  const app = createChatApp({ ...options, hosts: ['127.0.0.1', 'localhost'] })
  // The cast: without other options `serve` creates an HTTP/1 server.
  const http = serve({ fetch: app.fetch, hostname: '127.0.0.1', port, overrideGlobalObjects: false }) as Server
  await once(http, 'listening')
  const { port: chosen } = http.address() as AddressInfo // a TCP server has such an address
  return {
    url: `http://127.0.0.1:${chosen}`,
    async [Symbol.asyncDispose]() {
      const closed = once(http, 'close')
      http.close()
      await app[Symbol.asyncDispose]()
      http.closeAllConnections()
      await closed
    },
  }
}
