import type { Server } from 'node:net'

/** Listens on the socket of a path. Later errors of the server are ignored. @throws if the path cannot be had. */
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
