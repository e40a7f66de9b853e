import type { Clock } from '@theazo/server'

interface Timer {
  dueAt: number
  run: () => void
}

/** A server's clock that stands still until a test moves it; its timers then fire in order, each at its own time. */
export class StepClock implements Clock {
  readonly #startedAt: number
  #elapsedMs = 0
  readonly #timers = new Set<Timer>()
  readonly #waiting = new Map<number, (() => void)[]>()

  /** @param start ISO 8601. */
  constructor(start = '2026-03-10T12:00:00Z') {
    this.#startedAt = Date.parse(start)
  }

  now(): number {
    return this.#startedAt + this.#elapsedMs
  }

  monotonic(): number {
    return this.#elapsedMs
  }

  after(ms: number, run: () => void): () => void {
    for (const resolve of this.#waiting.get(ms)?.splice(0) ?? []) resolve()
    if (ms <= 0) {
      const immediate = setImmediate(run)
      return () => clearImmediate(immediate)
    }
    const timer = { dueAt: this.#elapsedMs + ms, run }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Resolves when somebody next asks to be called after so long: work that repeats has then ended once more. */
  async asked(ms: number): Promise<void> {
    const asked = Promise.withResolvers<void>()
    this.#waiting.set(ms, [...(this.#waiting.get(ms) ?? []), asked.resolve])
    await asked.promise
  }

  advance(ms: number): void {
    const until = this.#elapsedMs + ms
    for (let timer = this.#next(until); timer; timer = this.#next(until)) {
      this.#elapsedMs = timer.dueAt
      this.#timers.delete(timer)
      timer.run()
    }
    this.#elapsedMs = until
  }

  /** @param time ISO 8601. */
  advanceTo(time: string): void {
    this.advance(Date.parse(time) - this.now())
  }

  #next(until: number): Timer | undefined {
    const due = [...this.#timers].filter(({ dueAt }) => dueAt <= until)
    return due.toSorted((a, b) => a.dueAt - b.dueAt)[0]
  }
}
