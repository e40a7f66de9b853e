import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock as ClientClock } from '@theazo/core'
import type { Clock as ServerClock } from '@theazo/server'

interface Timer {
  /** On the monotonic clock. */
  dueAtMs: number
  run: () => void
}

/**
 * A server's clock that stands still until a test moves it. Due timers fire in the order of their times, and each sees
 * its own time.
 *
 * - `advance` lets the work of each timer run before the next timer fires: timers that repeat fire every time.
 * - `jump` fires all due timers in one step: a timer that starts again after asynchronous work fires once.
 * - `shift` sets the wall clock, as an operator does: no time passes and no timer fires.
 */
export class ServerTestClock implements ServerClock {
  #startMs: number
  #elapsedMs = 0
  readonly #timers = new Set<Timer>()
  readonly #listeners = new Map<number, (() => void)[]>()

  constructor(start: Date | string | number = '2026-03-10T12:00:00Z') {
    this.#startMs = new Date(start).getTime()
  }

  now(): number {
    return this.#startMs + this.#elapsedMs
  }

  monotonic(): number {
    return this.#elapsedMs
  }

  after(ms: number, run: () => void): () => void {
    for (const resolve of this.#listeners.get(ms)?.splice(0) ?? []) resolve()
    if (ms <= 0) {
      const immediate = setImmediate(run)
      return () => clearImmediate(immediate)
    }
    const timer = { dueAtMs: this.#elapsedMs + ms, run }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** The number of timers that fire after exactly this time. */
  dueIn(ms: number): number {
    return [...this.#timers].filter(({ dueAtMs }) => dueAtMs === this.#elapsedMs + ms).length
  }

  /** Resolves when the server next starts a timer of exactly this length: one round of repeated work has then ended. */
  async timerStarted(ms: number): Promise<void> {
    const started = Promise.withResolvers<void>()
    this.#listeners.set(ms, [...(this.#listeners.get(ms) ?? []), started.resolve])
    await started.promise
  }

  /** Time passes. The work of each due timer runs before the next timer fires. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms
    while (this.#fireNext(endMs)) {
      for (let turn = 0; turn < 3; turn += 1) await nextTurn() // the work may start the next timer
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, endMs) // two calls may overlap
  }

  /** Time passes in one step: no asynchronous work runs between two timers. */
  jump(ms: number): void {
    const endMs = this.#elapsedMs + ms
    while (this.#fireNext(endMs)) continue
    this.#elapsedMs = endMs
  }

  /** @param time ISO 8601. */
  jumpTo(time: string): void {
    this.jump(Date.parse(time) - this.now())
  }

  /** Sets the wall clock forward, or back if `ms` is negative. The monotonic clock does not change. */
  shift(ms: number): void {
    this.#startMs += ms
  }

  /** Fires the earliest timer that is due by then. False if there is none. */
  #fireNext(endMs: number): boolean {
    const due = [...this.#timers].filter(({ dueAtMs }) => dueAtMs <= endMs)
    const timer = due.toSorted((a, b) => a.dueAtMs - b.dueAtMs)[0]
    if (!timer) return false
    this.#timers.delete(timer)
    this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueAtMs)
    timer.run()
    return true
  }
}

/**
 * A client's clock on which a wait takes no time: the clock records the wait and is then that much later.
 *
 * The platform's own timers (deadlines, idle timeouts) run as usual.
 */
export class ClientTestClock implements ClientClock {
  /** Every wait of the client, in milliseconds. */
  readonly sleeps: number[] = []
  /** Runs during each wait, e.g. to bring a server back. */
  whileAsleep: (ms: number) => unknown = () => {}
  readonly #random: number
  #skippedMs = 0

  /** @param random the result of every `random()`. */
  constructor(random = 0.5) {
    this.#random = random
  }

  now(): number {
    return performance.now() + this.#skippedMs
  }

  random(): number {
    return this.#random
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.sleeps.push(ms)
    const aborted = Promise.withResolvers<never>()
    const onAbort = (): void => aborted.reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([aborted.promise, this.whileAsleep(ms)])
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    this.#skippedMs += ms
  }
}
