import { abortable } from '../transport/abortable.ts'
import type { Agent } from '../agent.ts'
import type { Theazo } from '../client.ts'
import { configurationError } from '../errors.ts'
import type { Session } from '../sessions.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import { isAtWork, lossOf } from './agent-state.ts'
import { handOver } from './hand-over.ts'
import { Losses } from './losses.ts'
import type { PoolEntry as Entry } from './pool-entry.ts'
import { mayBeGone, PooledSandbox } from './pooled-sandbox.ts'
import { type PoolAgent, SandboxLifecycle } from './sandbox-lifecycle.ts'
import { assertPoolOptions, type SandboxPoolOptions } from './sandbox-pool-options.ts'

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
        const take = (): void => void this.#lease(entry)
        const release = (): void => this.#release(entry)
        return new PooledSandbox(access, key, agent, handOver(take, release))
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

  /**
   * Ends the sandbox of a key if no call uses it now. It creates none, and leaves an adopted one as it is.
   *
   * @param action `pause` retains the files.
   * @returns false if there is no sandbox, or if it is in use.
   */
  async endIfUnused(key: string, action: 'pause' | 'terminate'): Promise<boolean> {
    const entry = this.#entries.get(key)
    if (!entry || entry.leases > 0) return false
    const acquired = await entry.ready.catch(() => undefined)
    if (!acquired || acquired.origin === 'adopted' || entry.leases > 0) return false
    this.#forget(entry, action === 'terminate' ? 'it was ended' : undefined)
    await this.#lifecycle.end(acquired.agent, action)
    return true
  }

  /** The session of a key's sandbox, which pays for it. It is created if there is none. */
  async session(key: string): Promise<Session> {
    return await this.#lifecycle.sessionOf(key)
  }

  /**
   * Releases all sandboxes. Later calls are refused. After a failure, another call tries again.
   *
   * @throws {AggregateError} if some could not be released.
   */
  async dispose(): Promise<void> {
    this.#isDisposed = true
    this.#signalRoom()
    const entries = Array.from(this.#entries.values())
    const releases = entries.map(async (entry) => {
      this.#forget(entry)
      await this.#releaseAgent(entry).catch((error: unknown) => {
        this.#entries.set(entry.key, entry)
        throw error
      })
    })
    const results = await Promise.allSettled([...this.#releasing, ...releases])
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
    const isRunning = acquired && (await isAtWork(acquired.agent))
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
    const loss = await lossOf(agent)
    if (loss !== undefined) this.#forget(entry, loss)
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
