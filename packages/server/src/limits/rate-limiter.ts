/** The decision about one request, and the state of its key. */
export interface RateDecision {
  isAllowed: boolean
  limit: number
  /** Number of further requests that are allowed now. */
  remaining: number
  /** Milliseconds until the oldest request leaves the window and one more is allowed; 0 if the window is empty. */
  resetMs: number
}

const windowMs = 60_000

/**
 * A sliding window per key: no period of 60 seconds contains more allowed requests than the limit. Refused requests do not
 * count, so a wait of `resetMs` is always enough.
 */
export class RateLimiter {
  readonly #monotonic: () => number
  readonly #windows = new Map<string, PassTimes>()
  #sweptAt = 0

  /** @param monotonic returns monotonic milliseconds: setting the clock back must not reopen or block a window. */
  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  /** Decides about one request and counts it if it is allowed. @param limit requests per minute. */
  ask(keyId: string, limit: number): RateDecision {
    const now = this.#monotonic()
    this.#sweep(now)
    let times = this.#windows.get(keyId)
    if (!times) this.#windows.set(keyId, (times = new PassTimes()))
    times.dropUntil(now - windowMs)
    const isAllowed = times.length < limit
    if (isAllowed) times.push(now)
    // If the limit was lowered, all requests above it must leave the window first.
    const blocking = times.at(Math.max(0, times.length - limit))
    const resetMs = blocking === undefined ? 0 : Math.max(0, blocking + windowMs - now)
    return { isAllowed, limit, remaining: Math.max(0, limit - times.length), resetMs }
  }

  /** Removes the windows of keys that are no longer used. */
  #sweep(now: number): void {
    if (now - this.#sweptAt < windowMs) return
    this.#sweptAt = now
    for (const [keyId, times] of this.#windows) {
      times.dropUntil(now - windowMs)
      if (times.length === 0) this.#windows.delete(keyId)
    }
  }
}

/** A growing ring buffer of times, in order. */
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

  /** Drops times up to and including `time`: at the end of its window a request has left it. */
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
