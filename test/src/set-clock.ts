import { setImmediate } from 'node:timers/promises'

/** A server's clock that a test moves on, and sets back. */
export class SetClock {
  #now: number
  #monotonic = 0
  readonly #timers = new Set<{ at: number; run: () => void }>()

  /** @param now milliseconds since the epoch. */
  constructor(now: number) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#monotonic + Math.max(0, ms), run }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Somebody sets the clock of the machine. No time passes. */
  set(ms: number): void {
    this.#now += ms
  }

  /** Time passes; timers fire when they are due, and what they begin is given some turns. */
  async pass(ms: number): Promise<void> {
    const end = this.#monotonic + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)
      if (!next) break
      this.#moveTo(next.at)
      this.#timers.delete(next)
      next.run()
      for (let turn = 0; turn < 3; turn += 1) await setImmediate()
    }
    this.#moveTo(end)
  }

  #moveTo(monotonic: number): void {
    this.#now += Math.max(0, monotonic - this.#monotonic)
    this.#monotonic = Math.max(this.#monotonic, monotonic)
  }
}
