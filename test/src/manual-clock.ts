import { setImmediate } from 'node:timers/promises'
import type { Clock } from '@theazo/server'

/** A server's clock that goes on only where a test says so. */
export class ManualClock implements Clock {
  #now: number
  #timers = new Map<object, { at: number; run: () => void }>()
  readonly #startedAt: number

  constructor(now: Date | string) {
    this.#now = new Date(now).getTime()
    this.#startedAt = this.#now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now - this.#startedAt
  }

  after(ms: number, run: () => void): () => void {
    const timer = {}
    this.#timers.set(timer, { at: this.#now + Math.max(0, ms), run })
    return () => void this.#timers.delete(timer)
  }

  /** Time passes; what is due runs at its time, in order. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (let due; (due = this.#next(until));) {
      const [timer, { at, run }] = due
      this.#timers.delete(timer)
      this.#now = Math.max(this.#now, at)
      run()
      await setImmediate() // what it does may ask for the next timer
    }
    this.#now = until
  }

  #next(until: number) {
    return [...this.#timers].filter(([, { at }]) => at <= until).toSorted(([, a], [, b]) => a.at - b.at)[0]
  }
}
