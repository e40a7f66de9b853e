import { abortable } from '../abortable.ts'
import type { Agent } from '../agent.ts'
import type { Theazo } from '../client.ts'
import { ConfigurationError, ConflictError, NotFoundError, TheazoError } from '../errors.ts'
import type { ExecOptions } from '../exec.ts'
import type { Session } from '../sessions.ts'
import type { CallOptions } from '../transport-options.ts'
import type { ExecResult, Language } from '../wire.ts'
import type { SandboxPoolOptions } from './sandbox-pool-options.ts'

/** One key's sandbox. */
interface Entry {
  key: string
  agent: Promise<Agent>
  /** Made by this pool, which then also ends it. */
  isOwned: boolean
  /** Calls that use it now. */
  leases: number
  lastUsed: number
  timer?: ReturnType<typeof setTimeout>
}

/** A sandbox that stands for a key's, whichever that is. */
export interface PooledSandbox {
  readonly id: string
  exec(lang: Language, code: string, options?: ExecOptions): Promise<ExecResult>
}

/**
 * Keeps one live sandbox for each key: a user, a chat thread, a session of an MCP client.
 *
 * Concurrent calls for a key make one. A sandbox that turns out to be gone (404, terminated, failed) is made anew. What
 * is idle too long is ended, and the longest idle one makes room where the pool is full. `dispose` ends what the pool
 * made; what it was given, or found by a name or a stored id, is left alone.
 *
 * @example
 * ```ts
 * await using pool = new SandboxPool(theazo)
 * const tools = createTheazoTools({ agent: pool.source(`user_${userId}`) })
 * ```
 */
export class SandboxPool implements AsyncDisposable {
  readonly #theazo: Theazo
  readonly #options: SandboxPoolOptions
  readonly #maxSize: number
  readonly #idleTtlMs: number
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>()
  /** Ends that are under way. */
  readonly #ending = new Set<Promise<void>>()
  #released = Promise.withResolvers<void>()
  #isDisposed = false

  constructor(theazo: Theazo, options: SandboxPoolOptions = {}) {
    this.#theazo = theazo
    this.#options = options
    this.#maxSize = options.maxSize ?? 100
    this.#idleTtlMs = options.idleTtlMs ?? 900_000
    if (!(this.#maxSize >= 1)) throw configurationError(`maxSize must be at least 1, not ${this.#maxSize}.`)
  }

  get size(): number {
    return this.#entries.size
  }

  /** Calls `work` with the key's agent, which is not let go meanwhile. */
  async use<Result>(
    key: string,
    work: (agent: Agent) => Promise<Result>,
    { signal }: Pick<CallOptions, 'signal'> = {},
  ): Promise<Result> {
    const entry = await this.#acquire(key, signal)
    try {
      const agent = await abortable(entry.agent, signal)
      this.#assertOpen()
      return await work(agent)
    } catch (error) {
      if (await this.#isGone(entry, error)) this.#forget(entry)
      throw error
    } finally {
      this.#release(entry)
    }
  }

  /**
   * What tools take as their sandbox: each call runs in the key's agent. Where that is gone, in a new one; the code has
   * not run then, so it runs once in any case.
   */
  source(key: string): () => Promise<PooledSandbox> {
    return async () => {
      const id = await this.use(key, async (agent) => agent.id)
      return {
        id,
        exec: async (lang, code, options) => {
          let usedId: string | undefined
          const run = (): Promise<ExecResult> =>
            this.use(
              key,
              (agent) => {
                usedId = agent.id
                return agent.exec(lang, code, options)
              },
              options,
            )
          try {
            return await run()
          } catch (error) {
            // `use` has let go of a sandbox that is gone; any other error is the caller's.
            if (usedId === undefined || !mayBeGone(error) || (await this.#holds(key, usedId))) throw error
            return await run()
          }
        },
      }
    }
  }

  /** Gives the pool an agent for a key. It is used like any other, and never ended by the pool. */
  adopt(key: string, agent: Agent): void {
    this.#assertOpen()
    const known = this.#entries.get(key)
    if (known) this.#retire(known, agent.id)
    const entry: Entry = { key, agent: Promise.resolve(agent), isOwned: false, leases: 0, lastUsed: 0 }
    this.#entries.set(key, entry)
    this.#rest(entry)
  }

  /** Lets go of a key's sandbox, and ends it where the pool made it. */
  async evict(key: string): Promise<void> {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#forget(entry)
    await this.#end(entry)
  }

  /** Ends what the pool made. Later calls are refused. @throws {AggregateError} where some could not be ended. */
  async dispose(): Promise<void> {
    this.#isDisposed = true
    this.#signalRelease()
    const entries = Array.from(this.#entries.values())
    for (const entry of entries) this.#forget(entry)
    const ends = await Promise.allSettled([...this.#ending, ...entries.map((entry) => this.#end(entry))])
    const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} sandboxes could not be ended.`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  async #acquire(key: string, signal: AbortSignal | undefined): Promise<Entry> {
    for (;;) {
      signal?.throwIfAborted()
      this.#assertOpen()
      const known = this.#entries.get(key)
      if (known) return this.#lease(known)
      if (this.#makeRoom()) break
      await abortable(this.#released.promise, signal)
    }
    const entry: Entry = { key, agent: Promise.resolve() as never, isOwned: true, leases: 0, lastUsed: 0 }
    // Not bound to the caller's signal: others may wait for the same one.
    entry.agent = this.#make(entry)
    entry.agent.catch(() => this.#forget(entry))
    this.#entries.set(key, entry)
    return this.#lease(entry)
  }

  async #make(entry: Entry): Promise<Agent> {
    const { key } = entry
    const { recall, nameOf, userIdOf, agent: options, onCreate } = this.#options
    const stored = await recall?.(key)
    if (stored !== undefined) {
      const agent = await this.#revive(stored)
      if (agent) {
        entry.isOwned = false
        return agent
      }
    }
    const session: Session = await this.#theazo.sessions.forUser(userIdOf?.(key) ?? key)
    const agent = await session.agents.create({ ...options, ...(nameOf && { name: nameOf(key) }) })
    entry.isOwned = agent.isNew
    try {
      await onCreate?.(key, agent)
    } catch (error) {
      // Nobody would know of it any more.
      if (agent.isNew) await agent.terminate().catch(() => {})
      throw error
    }
    return agent
  }

  /** The agent of a stored id, where it lives. */
  async #revive(id: string): Promise<Agent | undefined> {
    try {
      const agent = await this.#theazo.agents.get(id)
      return isEnded(agent) ? undefined : agent
    } catch (error) {
      if (NotFoundError.isInstance(error)) return undefined
      throw error
    }
  }

  #lease(entry: Entry): Entry {
    clearTimeout(entry.timer)
    entry.leases += 1
    return entry
  }

  #release(entry: Entry): void {
    entry.leases -= 1
    if (entry.leases > 0 || this.#entries.get(entry.key) !== entry) return
    this.#rest(entry)
    this.#signalRelease()
  }

  /** Idle from now on: last in the order of use, and let go after a while. */
  #rest(entry: Entry): void {
    this.#entries.delete(entry.key)
    this.#entries.set(entry.key, entry)
    const timer = setTimeout(() => this.#retire(entry), Math.min(this.#idleTtlMs, 2 ** 31 - 1))
    // A pool that nobody disposes must not keep a process alive. Only Node's timers can say so.
    if (typeof timer === 'object') (timer as { unref?: () => void }).unref?.()
    entry.timer = timer
  }

  #makeRoom(): boolean {
    if (this.#entries.size < this.#maxSize) return true
    for (const entry of this.#entries.values()) {
      if (entry.leases > 0) continue
      this.#retire(entry)
      return true
    }
    return false
  }

  /** Lets an idle one go; nobody waits for its end, but `dispose` does. */
  #retire(entry: Entry, keptId?: string): void {
    this.#forget(entry)
    const ending = this.#end(entry, keptId).catch(() => {}) // the server ends it with its session at the latest
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }

  #forget(entry: Entry): void {
    clearTimeout(entry.timer)
    if (this.#entries.get(entry.key) !== entry) return
    this.#entries.delete(entry.key)
    this.#signalRelease()
  }

  async #end(entry: Entry, keptId?: string): Promise<void> {
    const agent = await entry.agent.catch(() => undefined) // one that could not be made need not be ended
    if (!agent || !entry.isOwned || agent.id === keptId) return
    await agent.terminate().catch((error: unknown) => {
      if (!NotFoundError.isInstance(error)) throw error
    })
  }

  async #isGone(entry: Entry, error: unknown): Promise<boolean> {
    if (!mayBeGone(error)) return false
    const agent = await entry.agent.catch(() => undefined)
    return !agent || !(await this.#revive(agent.id).catch(() => agent))
  }

  async #holds(key: string, id: string): Promise<boolean> {
    const agent = await this.#entries.get(key)?.agent.catch(() => undefined)
    return agent?.id === id
  }

  #signalRelease(): void {
    this.#released.resolve()
    this.#released = Promise.withResolvers()
  }

  #assertOpen(): void {
    if (this.#isDisposed) throw configurationError('The sandbox pool is disposed; it gives no sandbox any more.')
  }
}

/** A 409 may also say paused or busy. */
function mayBeGone(error: unknown): boolean {
  if (ConflictError.isInstance(error)) return error.details?.['reason'] !== 'interrupted' // the code has begun
  return NotFoundError.isInstance(error)
}

function isEnded({ data: { status } }: Agent): boolean {
  return status === 'terminated' || status === 'failed'
}

function configurationError(message: string): TheazoError {
  return new ConfigurationError(message, { code: 'configuration_error' })
}
