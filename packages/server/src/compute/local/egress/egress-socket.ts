import { constants } from 'node:fs'
import { chmod, chown, mkdir, open, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import type { HostUser } from '../host-uid.ts'
import { egressLimits } from './egress-limits.ts'
import { type EgressRecord, OpenRecord } from './egress-record.ts'
import { listenAt } from './listen-at.ts'
import { EgressRefusal, endRefused } from './refusal.ts'
import { tunnel } from './tunnel.ts'

/** Options of the socket of one sandbox. */
export interface EgressSocketOptions {
  /** Path of the socket; its folder is created if it does not exist. */
  path: string
  /** Only this user can connect. */
  user: HostUser
  /** Makes a connection to the sandbox's proxy. */
  connect: (signal: AbortSignal) => Promise<Socket>
  /** Called for a connection for which there was no proxy. */
  onEnd: (record: EgressRecord) => void
}

/** How long to wait for the proxy, which may have to be started again. */
const waitMs = 10_000

/**
 * The socket that is bound into a sandbox. It belongs to the server and not to the proxy process, so that it
 * outlives that process: the socket of a running sandbox cannot be replaced. The bytes are copied between the two without
 * being interpreted.
 */
export class EgressSocket implements AsyncDisposable {
  readonly #options: EgressSocketOptions
  readonly #server: Server
  readonly #clients = new Set<Socket>()

  constructor(options: EgressSocketOptions) {
    this.#options = options
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    this.#server.maxConnections = egressLimits.maxConnections + egressLimits.maxRefusedConnections
    this.#server.on('connection', (client) => {
      client.on('error', () => {}) // the close event follows, which is handled
      this.#relay(client).catch(() => client.destroy())
    })
  }

  /** @throws if the socket cannot be created. */
  async listen(): Promise<void> {
    const { path, user } = this.#options
    const folderPath = dirname(path)
    await mkdir(folderPath, { recursive: true })
    await chmod(folderPath, 0o711)
    // A socket's path has 107 characters at most (unix(7)), and a data folder's may be longer.
    const folder = await open(folderPath, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await listenAt(this.#server, `/proc/self/fd/${folder.fd}/${path.slice(folderPath.length + 1)}`)
      await chmod(path, 0o600)
      if (process.getuid?.() === 0) await chown(path, user.uid, user.gid)
    } finally {
      await folder.close()
    }
  }

  /** Ends every connection, and removes the socket. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening && new Promise((resolve) => this.#server.close(resolve))
    for (const client of this.#clients) client.destroy()
    await closed
    await rm(this.#options.path, { force: true })
  }

  async #relay(client: Socket): Promise<void> {
    const record = new OpenRecord(this.#options.onEnd)
    const ended = new AbortController()
    const timer = setTimeout(() => ended.abort(), waitMs)
    this.#clients.add(client)
    client.once('close', () => {
      this.#clients.delete(client)
      ended.abort()
    })
    try {
      const proxy = await this.#options.connect(ended.signal)
      if (client.destroyed) proxy.destroy()
      else tunnel(client, proxy, egressLimits.idleMs)
    } catch {
      record.end(client.destroyed ? 'abandoned' : 'unavailable')
      endRefused(client, new EgressRefusal('unavailable', 'the egress proxy is not running: try again in a moment'))
    } finally {
      clearTimeout(timer)
    }
  }
}
