import { setImmediate } from 'node:timers/promises'
import type { Clock } from '@theazo/server'

/**
 * A server's clock that goes on only where a test says so, and can be set back. What a timer begins is given some turns
 * before the next one fires; `StepClock` fires all of them at once.
 */
export class ManualClock implements Clock {
  #now: number
  #elapsedMs = 0
  readonly #timers = new Set<{ at: number; run: () => void }>()

  constructor(now: Date | string | number) {
    this.#now = new Date(now).getTime()
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#elapsedMs
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#elapsedMs + Math.max(0, ms), run }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** How many wait to be called after exactly so long. */
  dueIn(ms: number): number {
    return [...this.#timers].filter(({ at }) => at === this.#elapsedMs + ms).length
  }

  /** Somebody sets the clock of the machine. No time passes. */
  set(ms: number): void {
    this.#now += ms
  }

  /** Time passes; what is due runs at its time, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsedMs + ms
    for (let timer = this.#next(end); timer; timer = this.#next(end)) {
      this.#timers.delete(timer)
      this.#moveTo(timer.at)
      timer.run()
      for (let turn = 0; turn < 3; turn += 1) await setImmediate() // what it does may ask for the next timer
    }
    this.#moveTo(end)
  }

  #moveTo(elapsedMs: number): void {
    this.#now += Math.max(0, elapsedMs - this.#elapsedMs)
    this.#elapsedMs = Math.max(this.#elapsedMs, elapsedMs)
  }

  #next(end: number): { at: number; run: () => void } | undefined {
    return [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0]
  }
}
