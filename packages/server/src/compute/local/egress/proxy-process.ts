import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { chown, type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { TheazoServerError } from '../../../errors.ts'
import type { HostPattern } from '../../../network/host-pattern.ts'
import { orAbort } from '../../../or-abort.ts'
import { type HostUser, hostUsers } from '../host-uid.ts'
import type { EgressRecord } from './egress-record.ts'
import type { ProxyAnswer } from './proxy-answers.ts'
import { ProxyChild } from './proxy-child.ts'
import { readGreeting } from './read-greeting.ts'

/** Options of the process. */
export interface ProxyProcessOptions {
  /** A folder to create for the sockets of the process. Its parent must be closed to other users. */
  folderPath: string
  /** The only hosts that sandboxes may reach. */
  operator: readonly HostPattern[]
  log: Logger
  /** Called each time the process has ended by itself. */
  onLost: () => void
}

/** Between the end of one process and the start of the next: doubled each time, until one has lived for `goodMs`. */
const [firstDelayMs, maxDelayMs, goodMs] = [100, 30_000, 10_000]
/** How long to wait for the connections of a sandbox that ends. */
const closeMs = 2_000
/** Attempts to connect to the process, which may end during one. */
const [maxAttempts, retryMs] = [5, 100]

/** A sandbox whose proxy runs in the process. */
interface SandboxProxy {
  allow: readonly HostPattern[]
  onEnd: (record: EgressRecord) => void
  /** Resolves when its proxy accepts connections; replaced when the process has ended. */
  opened: PromiseWithResolvers<void>
  /** Resolves when its proxy has ended. */
  closed: PromiseWithResolvers<void>
  isClosing: boolean
}

/**
 * The process of the egress proxy: started for the first sandbox that has a network, and again whenever it has ended.
 * It is not trusted: it may end, hang, or send anything at any time.
 */
export class ProxyProcess implements AsyncDisposable {
  readonly #options: ProxyProcessOptions
  readonly #proxies = new Map<number, SandboxProxy>()
  readonly #closing = new AbortController()
  #keeping: Promise<void> | undefined
  #child: ProxyChild | undefined
  /** Proves that the process itself has accepted a connection: it could replace its socket by a link to another one. */
  #greeting = ''
  #folder: { handle: FileHandle; user: HostUser } | undefined
  #delayMs = firstDelayMs
  #startAt = 0

  constructor(options: ProxyProcessOptions) {
    this.#options = options
  }

  /** Gives a sandbox a proxy. {@link connect} works immediately, also if the process has yet to start. */
  open(number: number, allow: readonly HostPattern[], onEnd: (record: EgressRecord) => void): void {
    const [opened, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    this.#proxies.set(number, { allow, onEnd, opened, closed, isClosing: false })
    this.#child?.send({ kind: 'open', number, allow })
    this.#keeping ??= this.#keepRunning()
  }

  /** Ends the proxy of a sandbox, and waits for the records of its connections. Idempotent. */
  async close(number: number): Promise<void> {
    const proxy = this.#proxies.get(number)
    if (!proxy) return
    if (this.#child) {
      // Only once: the proxy would answer a second order immediately, before the records of the first.
      if (!proxy.isClosing) this.#child.send({ kind: 'close', number })
      proxy.isClosing = true
      await Promise.race([proxy.closed.promise, sleep(closeMs, undefined, { ref: false })])
    }
    this.#proxies.delete(number)
  }

  /**
   * A connection to the proxy of a sandbox. If the process is not running, waits for it.
   *
   * @throws the signal's reason, or the last error after several attempts.
   */
  async connect(number: number, signal: AbortSignal): Promise<Socket> {
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted()
      const proxy = this.#proxies.get(number)
      if (!proxy) throw new TheazoServerError('The sandbox has ended.')
      await orAbort(proxy.opened.promise, signal)
      try {
        return await this.#connectOnce(number, signal)
      } catch (error) {
        if (attempt === maxAttempts) throw error
      }
      await sleep(retryMs, undefined, { signal })
    }
  }

  /** Ends the process, and removes its sockets. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#child?.end()
    await this.#keeping
    await this.#folder?.handle.close()
    this.#folder = undefined
    await rm(this.#options.folderPath, { recursive: true, force: true })
  }

  async #connectOnce(number: number, signal: AbortSignal): Promise<Socket> {
    if (!this.#folder) throw new TheazoServerError('The egress proxy has not been started.')
    // A socket's path has 107 characters at most (unix(7)), and a data folder's may be longer.
    const socket = connect({ path: `/proc/self/fd/${this.#folder.handle.fd}/${number}`, allowHalfOpen: true })
    socket.on('error', () => {}) // the close event follows, which is handled
    try {
      await once(socket, 'connect', { signal })
      await readGreeting(socket, Buffer.from(this.#greeting), signal)
      return socket
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  /** Runs the process as long as there are sandboxes. Never rejects. */
  async #keepRunning(): Promise<void> {
    const { signal } = this.#closing
    while (this.#proxies.size > 0 && !signal.aborted) {
      const waitMs = this.#startAt - performance.now()
      if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) break
      const startedAt = performance.now()
      const reason = await this.#run().catch(String)
      this.#child = undefined
      for (const proxy of this.#proxies.values()) {
        proxy.opened = Promise.withResolvers()
        proxy.closed.resolve()
      }
      if (!signal.aborted) this.#lose(reason, performance.now() - startedAt)
    }
    this.#keeping = undefined
  }

  /** Runs the process once. @returns the reason of its end. */
  async #run(): Promise<string> {
    const { folderPath, operator } = this.#options
    const { user } = (this.#folder ??= await openFolder(folderPath))
    const greeting = (this.#greeting = randomBytes(16).toString('hex'))
    const child = new ProxyChild(folderPath, (answer) => this.#handle(answer))
    this.#child = child
    child.send({ kind: 'begin', user, greeting, operator })
    for (const [number, { allow, isClosing }] of this.#proxies) {
      if (!isClosing) child.send({ kind: 'open', number, allow })
    }
    return await child.ended
  }

  #lose(reason: string, livedMs: number): void {
    if (livedMs >= goodMs) this.#delayMs = firstDelayMs
    this.#options.log.error({ reason, startsAgainInMs: this.#delayMs }, 'the process of the egress proxy has ended')
    this.#startAt = performance.now() + this.#delayMs
    this.#delayMs = Math.min(2 * this.#delayMs, maxDelayMs)
    this.#options.onLost()
  }

  #handle(answer: ProxyAnswer): void {
    if (answer.kind === 'ready' || answer.kind === 'pong') return
    const proxy = this.#proxies.get(answer.number)
    if (!proxy) return // the sandbox has ended
    if (answer.kind === 'opened') proxy.opened.resolve()
    else if (answer.kind === 'closed') proxy.closed.resolve()
    else if (answer.kind === 'ended') proxy.onEnd(answer.record)
    else this.#options.log.error({ reason: answer.reason }, 'the egress proxy of a sandbox has no socket')
  }
}

/** The folder belongs to the user that the process switches to: one of the uids for agents, without rights on the machine. */
async function openFolder(path: string): Promise<{ handle: FileHandle; user: HostUser }> {
  const user = (await hostUsers())('the egress proxy')
  await mkdir(path, { mode: 0o700 })
  if (process.getuid?.() === 0) await chown(path, user.uid, user.gid)
  return { handle: await open(path, constants.O_RDONLY | constants.O_DIRECTORY), user }
}
