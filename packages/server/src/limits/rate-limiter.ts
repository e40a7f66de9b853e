/** Where a key stands after a request asked to pass. */
export interface RateDecision {
  isAllowed: boolean
  limit: number
  /** Requests that would pass now. */
  remaining: number
  /** Milliseconds until the oldest request leaves the window, and one more passes; 0 where none is in it. */
  resetMs: number
}

const windowMs = 60_000

/**
 * A true sliding window per key: in no 60 seconds, wherever they begin, more requests pass than the limit. Refused
 * requests do not count, so a wait of `resetMs` is always enough.
 */
export class RateLimiter {
  readonly #monotonic: () => number
  readonly #windows = new Map<string, PassTimes>()
  #sweptAt = 0

  /** @param monotonic milliseconds that only grow: a clock that is set back must not reopen or block a window. */
  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  /** @param limit requests a minute. */
  ask(keyId: string, limit: number): RateDecision {
    const now = this.#monotonic()
    this.#sweep(now)
    let times = this.#windows.get(keyId)
    if (!times) this.#windows.set(keyId, (times = new PassTimes()))
    times.dropUntil(now - windowMs)
    const isAllowed = times.length < limit
    if (isAllowed) times.push(now)
    // A limit that was lowered meanwhile waits for as many to leave as are too many.
    const blocking = times.at(Math.max(0, times.length - limit))
    const resetMs = blocking === undefined ? 0 : Math.max(0, blocking + windowMs - now)
    return { isAllowed, limit, remaining: Math.max(0, limit - times.length), resetMs }
  }

  /** Keys that are used no more cost nothing. */
  #sweep(now: number): void {
    if (now - this.#sweptAt < windowMs) return
    this.#sweptAt = now
    for (const [keyId, times] of this.#windows) {
      times.dropUntil(now - windowMs)
      if (times.length === 0) this.#windows.delete(keyId)
    }
  }
}

/** Times in order: a ring that grows. */
class PassTimes {
  #ring = new Float64Array(16)
  #first = 0
  length = 0

  push(time: number): void {
    if (this.length === this.#ring.length) this.#grow()
    this.#ring[(this.#first + this.length) & (this.#ring.length - 1)] = time
    this.length += 1
  }

  at(index: number): number | undefined {
    return index < this.length ? this.#ring[(this.#first + index) & (this.#ring.length - 1)] : undefined
  }

  /** A request is in the window for less than its whole length: at its end it has left. */
  dropUntil(time: number): void {
    while (this.length > 0 && (this.#ring[this.#first] ?? 0) <= time) {
      this.#first = (this.#first + 1) & (this.#ring.length - 1)
      this.length -= 1
    }
  }

  #grow(): void {
    const ring = new Float64Array(this.#ring.length * 2)
    for (let index = 0; index < this.length; index += 1) ring[index] = this.at(index) ?? 0
    this.#ring = ring
    this.#first = 0
  }
}
