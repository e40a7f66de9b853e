import type { Server } from 'node:net'

/** Listens on a socket with this path. Later errors of the server are ignored. @throws if the socket cannot be created. */
export async function listenAt(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      server.on('error', () => {}) // a connection could not be accepted; others can be
      resolve()
    })
  })
}
