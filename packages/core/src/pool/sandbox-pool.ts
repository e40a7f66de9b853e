import { abortable } from '../transport/abortable.ts'
import type { Agent } from '../agent.ts'
import type { Theazo } from '../client.ts'
import { configurationError, NotFoundError } from '../errors.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import { Losses } from './losses.ts'
import { mayBeGone, PooledSandbox } from './pooled-sandbox.ts'
import { isEnded, type MadeSandbox, SandboxMaker } from './sandbox-maker.ts'
import { assertPoolOptions, type SandboxPoolOptions } from './sandbox-pool-options.ts'

/** One key's sandbox. */
interface Entry {
  key: string
  made: Promise<MadeSandbox>
  /** Calls that use it now. */
  leases: number
  /** Something has run in it: its loss is worth a word. */
  isUsed: boolean
  timer?: ReturnType<typeof setTimeout>
}

const defaultIdleTtlMs = 900_000

/**
 * Keeps one live sandbox for each key: a user, a chat thread, a session of an MCP client.
 *
 * Concurrent calls for a key make one. A sandbox that turns out to be gone (404, terminated, failed) is made anew. What
 * is idle too long is let go, and the longest idle one makes room if the pool is full. `dispose` lets go of all.
 * Letting go terminates what the pool made, unless `onRelease` says otherwise; what it was given is left alone.
 *
 * @example
 * ```ts
 * await using pool = new SandboxPool(theazo)
 * const tools = theazoTools({ agent: pool.source(`user_${userId}`) })
 * ```
 */
export class SandboxPool implements AsyncDisposable {
  readonly #maker: SandboxMaker
  readonly #maxSize: number
  readonly #idleTtlMs: number
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>()
  /** Sandboxes that are being let go. */
  readonly #releasing = new Set<Promise<void>>()
  readonly #losses = new Losses()
  #roomMade = Promise.withResolvers<void>()
  #isDisposed = false

  constructor(theazo: Pick<Theazo, 'sessions' | 'agents'>, options: SandboxPoolOptions = {}) {
    this.#maxSize = options.maxSize ?? 100
    this.#idleTtlMs = options.idleTtlMs ?? defaultIdleTtlMs
    assertPoolOptions(options)
    this.#maker = new SandboxMaker(theazo, options, this.#idleTtlMs)
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
      const { agent } = await abortable(entry.made, signal)
      this.#assertOpen()
      entry.isUsed = true
      return await work(agent)
    } catch (error) {
      if (mayBeGone(error)) await this.#look(entry)
      throw error
    } finally {
      this.#release(entry)
    }
  }

  /**
   * A sandbox for tools: each call runs in the key's agent. If that is gone, in a new one, and the tool's text says so; a
   * paused one is resumed. Code runs once in any case.
   */
  source(key: string): () => Promise<PooledSandbox> {
    const access = {
      use: this.use.bind(this),
      has: (key: string, agentId: string) => this.#has(key, agentId),
      evict: this.evict.bind(this),
      takeNotice: (key: string) => this.#losses.takeNotice(key),
    }
    return async () => {
      const entry = await this.#acquire(key, undefined)
      try {
        const { agent } = await entry.made
        this.#assertOpen()
        return new PooledSandbox(access, key, agent, this.#heldAtFirst(entry))
      } catch (error) {
        this.#release(entry)
        throw error
      }
    }
  }

  /** Gives the pool an agent for a key. It is used like any other, and never ended by the pool. */
  adopt(key: string, agent: Agent): void {
    this.#assertOpen()
    const known = this.#entries.get(key)
    if (known) this.#retire(known, agent.id)
    const entry: Entry = { key, made: Promise.resolve({ agent, origin: 'given' }), leases: 0, isUsed: false }
    this.#entries.set(key, entry)
    this.#rest(entry)
  }

  /** Lets go of a key's sandbox. */
  async evict(key: string): Promise<void> {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#forget(entry, 'it was ended')
    await this.#letGo(entry)
  }

  /** Lets go of all sandboxes. Later calls are refused. @throws {AggregateError} if some could not be ended. */
  async dispose(): Promise<void> {
    this.#isDisposed = true
    this.#signalRoom()
    const entries = Array.from(this.#entries.values())
    for (const entry of entries) this.#forget(entry)
    const ends = await Promise.allSettled([...this.#releasing, ...entries.map((entry) => this.#letGo(entry))])
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
      await abortable(this.#roomMade.promise, signal)
    }
    // Not bound to the caller's signal: others may wait for the same one.
    const entry: Entry = { key, made: this.#make(key), leases: 0, isUsed: false }
    entry.made.catch(() => this.#forget(entry))
    this.#entries.set(key, entry)
    return this.#lease(entry)
  }

  async #make(key: string): Promise<MadeSandbox> {
    const made = await this.#maker.make(key)
    this.#losses.replaced(key, made.origin === 'made')
    return made
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
    this.#signalRoom()
  }

  /** Hands a lease over to the caller, who takes it in the same turn or not at all: then it ends by itself. */
  #heldAtFirst(entry: Entry): () => () => void {
    let isTaken = false
    setTimeout(() => {
      if (!isTaken) this.#release(entry)
    })
    return () => {
      if (isTaken) this.#lease(entry)
      isTaken = true
      return () => this.#release(entry)
    }
  }

  /** Idle from now on: last in the order of use, and let go after a while. */
  #rest(entry: Entry): void {
    this.#entries.delete(entry.key)
    this.#entries.set(entry.key, entry)
    const timer = setTimeout(() => void this.#expire(entry), Math.min(this.#idleTtlMs, 2 ** 31 - 1))
    // A pool that nobody disposes must not keep a process alive. Only Node's timers can say so.
    if (typeof timer === 'object') (timer as { unref?: () => void }).unref?.()
    entry.timer = timer
  }

  /** An agent whose own loop works on a task in the background is not idle. */
  async #expire(entry: Entry): Promise<void> {
    const made = await entry.made.catch(() => undefined)
    const isRunning = await made?.agent.refresh().then(
      ({ data }) => data.status === 'running',
      () => false,
    )
    if (entry.leases > 0 || this.#entries.get(entry.key) !== entry) return
    if (isRunning) this.#rest(entry)
    else this.#retire(entry)
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
    this.#forget(entry, 'it was not used for a while')
    const releasing = this.#letGo(entry, keptId).catch(() => {}) // the server ends it with its session at the latest
    this.#releasing.add(releasing)
    void releasing.finally(() => this.#releasing.delete(releasing))
  }

  #forget(entry: Entry, loss?: string): void {
    clearTimeout(entry.timer)
    if (this.#entries.get(entry.key) !== entry) return
    this.#entries.delete(entry.key)
    if (loss !== undefined && entry.isUsed) this.#losses.note(entry.key, loss)
    this.#signalRoom()
  }

  async #letGo(entry: Entry, keptId?: string): Promise<void> {
    const made = await entry.made.catch(() => undefined) // one that could not be made need not be ended
    if (made && made.agent.id !== keptId) await this.#maker.release(made)
  }

  /** Asks the server for an agent that may be gone, and forgets it if it is. */
  async #look(entry: Entry): Promise<void> {
    const agent = await entry.made.then(
      ({ agent }) => agent,
      () => undefined,
    )
    if (!agent) return this.#forget(entry)
    try {
      await agent.refresh()
    } catch (error) {
      if (NotFoundError.isInstance(error)) this.#forget(entry, 'the server does not know it any more')
      return // the server does not answer: the next call sees
    }
    const { status, reason } = agent.data
    if (isEnded(agent))
      this.#forget(entry, `it has ${status === 'failed' ? 'failed' : 'been terminated'}${because(reason)}`)
  }

  async #has(key: string, agentId: string): Promise<boolean> {
    const made = await this.#entries.get(key)?.made.catch(() => undefined)
    return made?.agent.id === agentId
  }

  #signalRoom(): void {
    this.#roomMade.resolve()
    this.#roomMade = Promise.withResolvers()
  }

  #assertOpen(): void {
    if (this.#isDisposed) throw configurationError('The sandbox pool is disposed; it gives no sandbox any more.')
  }
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : ` (${reason.replace(/\.$/, '')})`
}
