import { abortable } from '../transport/abortable.ts'
import type { Agent } from '../agent.ts'
import type { Theazo } from '../client.ts'
import { configurationError, NotFoundError } from '../errors.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import { Losses } from './losses.ts'
import { mayBeGone, PooledSandbox } from './pooled-sandbox.ts'
import { isEnded, type PoolAgent, SandboxLifecycle } from './sandbox-lifecycle.ts'
import { assertPoolOptions, type SandboxPoolOptions } from './sandbox-pool-options.ts'

/** The sandbox of one key. */
interface Entry {
  key: string
  ready: Promise<PoolAgent>
  /** The number of current calls that use the sandbox. */
  leases: number
  /** True if a call has used the sandbox: a model then gets a notice about its loss. */
  isUsed: boolean
  timer?: ReturnType<typeof setTimeout>
}

const defaultIdleTtlMs = 900_000

/**
 * Provides one live sandbox for each key: a user, a chat thread, a session of an MCP client.
 *
 * Concurrent calls for a key share one sandbox. If it is gone (404, terminated, failed), the next call creates another
 * one. The pool releases a sandbox that is idle for too long. If the pool is full, it releases the one that is idle for
 * the longest time. `dispose` releases all. A release terminates a sandbox that the pool created, unless `onRelease`
 * specifies something else. Adopted sandboxes are never changed.
 *
 * @example
 * ```ts
 * import { SandboxPool } from '@theazo/core/pool'
 *
 * await using pool = new SandboxPool(theazo) // each key is the id of a user
 * const { stdout } = await pool.use('user_123', (agent) => agent.exec('bash', 'ls'))
 * ```
 */
export class SandboxPool implements AsyncDisposable {
  readonly #lifecycle: SandboxLifecycle
  readonly #maxSize: number
  readonly #idleTtlMs: number
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>()
  /** The pending releases, for `dispose`. */
  readonly #releasing = new Set<Promise<void>>()
  readonly #losses = new Losses()
  #roomMade = Promise.withResolvers<void>()
  #isDisposed = false

  constructor(theazo: Pick<Theazo, 'sessions' | 'agents'>, options: SandboxPoolOptions = {}) {
    this.#maxSize = options.maxSize ?? 100
    this.#idleTtlMs = options.idleTtlMs ?? defaultIdleTtlMs
    assertPoolOptions(options)
    this.#lifecycle = new SandboxLifecycle(theazo, options, this.#idleTtlMs)
  }

  /** The number of sandboxes. */
  get size(): number {
    return this.#entries.size
  }

  /**
   * Calls `work` with the key's agent. The agent is not released while `work` runs.
   *
   * @example
   * ```ts
   * const text = await pool.use('user_123', (agent) => agent.files.readText('notes.md'))
   * ```
   */
  async use<Result>(
    key: string,
    work: (agent: Agent) => Promise<Result>,
    { signal }: Pick<CallOptions, 'signal'> = {},
  ): Promise<Result> {
    const entry = await this.#acquire(key, signal)
    try {
      const { agent } = await abortable(entry.ready, signal)
      this.#assertOpen()
      entry.isUsed = true
      return await work(agent)
    } catch (error) {
      if (mayBeGone(error)) await this.#forgetIfGone(entry)
      throw error
    } finally {
      this.#release(entry)
    }
  }

  /**
   * Returns a sandbox source for tools. Each tool call runs in the key's agent. If the agent is gone, the call runs in a
   * new one, and the tool's text reports the loss. A paused agent is resumed. Code never runs twice.
   *
   * @example
   * ```ts
   * import { runCode } from '@theazo/core/tools'
   *
   * const { text } = await runCode.run({ language: 'bash', code: 'ls' }, { sandbox: pool.source('user_123') })
   * ```
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
        const { agent } = await entry.ready
        this.#assertOpen()
        return new PooledSandbox(access, key, agent, this.#handOver(entry))
      } catch (error) {
        this.#release(entry)
        throw error
      }
    }
  }

  /**
   * Uses an existing agent for a key. The pool never pauses or terminates it.
   *
   * @example
   * ```ts
   * pool.adopt('user_123', agent)
   * ```
   */
  adopt(key: string, agent: Agent): void {
    this.#assertOpen()
    const previous = this.#entries.get(key)
    if (previous) this.#retire(previous, agent.id)
    const entry: Entry = { key, ready: Promise.resolve({ agent, origin: 'adopted' }), leases: 0, isUsed: false }
    this.#entries.set(key, entry)
    this.#startIdle(entry)
  }

  /** Releases the sandbox of a key. The next call for the key gets another one. */
  async evict(key: string): Promise<void> {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#forget(entry, 'it was ended')
    await this.#releaseAgent(entry)
  }

  /** Releases all sandboxes. Later calls are refused. @throws {AggregateError} if some could not be released. */
  async dispose(): Promise<void> {
    this.#isDisposed = true
    this.#signalRoom()
    const entries = Array.from(this.#entries.values())
    for (const entry of entries) this.#forget(entry)
    const results = await Promise.allSettled([...this.#releasing, ...entries.map((entry) => this.#releaseAgent(entry))])
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} sandboxes could not be released.`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  async #acquire(key: string, signal: AbortSignal | undefined): Promise<Entry> {
    for (;;) {
      signal?.throwIfAborted()
      this.#assertOpen()
      const existing = this.#entries.get(key)
      if (existing) return this.#lease(existing)
      if (this.#makeRoom()) break
      await abortable(this.#roomMade.promise, signal)
    }
    // Without the caller's signal: other calls may wait for the same sandbox.
    const entry: Entry = { key, ready: this.#prepare(key), leases: 0, isUsed: false }
    entry.ready.catch(() => this.#forget(entry))
    this.#entries.set(key, entry)
    return this.#lease(entry)
  }

  async #prepare(key: string): Promise<PoolAgent> {
    const acquired = await this.#lifecycle.acquire(key)
    this.#losses.addReplacement(key, acquired.origin === 'created')
    return acquired
  }

  #lease(entry: Entry): Entry {
    clearTimeout(entry.timer)
    entry.leases += 1
    return entry
  }

  #release(entry: Entry): void {
    entry.leases -= 1
    if (entry.leases > 0 || this.#entries.get(entry.key) !== entry) return
    this.#startIdle(entry)
    this.#signalRoom()
  }

  /** Hands the current lease to the caller, who must take it before the next timers run. Otherwise the lease ends. */
  #handOver(entry: Entry): () => () => void {
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

  /** Moves an idle entry to the end of the order of use, and starts its timer. */
  #startIdle(entry: Entry): void {
    this.#entries.delete(entry.key)
    this.#entries.set(entry.key, entry)
    const timer = setTimeout(() => void this.#expire(entry), Math.min(this.#idleTtlMs, 2 ** 31 - 1))
    // A pool that nobody disposes must not keep the process alive. Only the timers of Node have `unref`.
    if (typeof timer === 'object') (timer as { unref?: () => void }).unref?.()
    entry.timer = timer
  }

  /** An agent whose own loop works on a task in the background is not idle. */
  async #expire(entry: Entry): Promise<void> {
    const acquired = await entry.ready.catch(() => undefined)
    const isRunning = await acquired?.agent.refresh().then(
      ({ data }) => data.status === 'running',
      () => false,
    )
    if (entry.leases > 0 || this.#entries.get(entry.key) !== entry) return
    if (isRunning) this.#startIdle(entry)
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

  /** Releases an entry in the background. Only `dispose` waits for the end of the release. */
  #retire(entry: Entry, exceptId?: string): void {
    this.#forget(entry, 'it was not used for a while')
    const releasing = this.#releaseAgent(entry, exceptId).catch(() => {}) // if this fails, the end of the session terminates it
    this.#releasing.add(releasing)
    void releasing.finally(() => this.#releasing.delete(releasing))
  }

  /** Removes an entry. @param loss why the sandbox is gone, for the notice to a model. */
  #forget(entry: Entry, loss?: string): void {
    clearTimeout(entry.timer)
    if (this.#entries.get(entry.key) !== entry) return
    this.#entries.delete(entry.key)
    if (loss !== undefined && entry.isUsed) this.#losses.addLoss(entry.key, loss)
    this.#signalRoom()
  }

  async #releaseAgent(entry: Entry, exceptId?: string): Promise<void> {
    const acquired = await entry.ready.catch(() => undefined) // if the creation failed, there is nothing to release
    if (acquired && acquired.agent.id !== exceptId) await this.#lifecycle.release(acquired)
  }

  /** Asks the server whether an agent still exists, and removes its entry if not. */
  async #forgetIfGone(entry: Entry): Promise<void> {
    const agent = await entry.ready.then(
      ({ agent }) => agent,
      () => undefined,
    )
    if (!agent) return this.#forget(entry)
    try {
      await agent.refresh()
    } catch (error) {
      if (NotFoundError.isInstance(error)) this.#forget(entry, 'the server no longer knows it')
      return // if the server does not respond, the next call finds out
    }
    const { status, reason } = agent.data
    if (isEnded(agent))
      this.#forget(entry, `it has ${status === 'failed' ? 'failed' : 'been terminated'}${because(reason)}`)
  }

  async #has(key: string, agentId: string): Promise<boolean> {
    const acquired = await this.#entries.get(key)?.ready.catch(() => undefined)
    return acquired?.agent.id === agentId
  }

  #signalRoom(): void {
    this.#roomMade.resolve()
    this.#roomMade = Promise.withResolvers()
  }

  #assertOpen(): void {
    if (this.#isDisposed) throw configurationError('The sandbox pool is disposed: create another pool.')
  }
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : ` (${reason.replace(/\.$/, '')})`
}
