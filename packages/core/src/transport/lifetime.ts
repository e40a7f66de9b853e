import { configurationError, TimeoutError } from '../errors.ts'

/** The longest that a timer waits; beyond it would fire at once. */
const maxTimerMs = 2 ** 31 - 1

/** `setTimeout` for any number of milliseconds. */
export function timer(work: () => void, ms: number): ReturnType<typeof setTimeout> {
  return setTimeout(work, Math.min(ms, maxTimerMs))
}

/** @throws {ConfigurationError} for what is no time to wait. */
export function assertTimeout(timeoutMs: number): void {
  if (typeof timeoutMs === 'number' && timeoutMs > 0) return
  const message = `timeoutMs must be a number of milliseconds above 0, not ${timeoutMs}.`
  throw configurationError(message)
}

/** How something may end before it is done: its caller's signal fires, or its time is up. */
export interface LifetimeOptions {
  signal: AbortSignal | undefined
  /** Counted from now; none: no limit. */
  timeoutMs: number | undefined
  /** What the signal's reason is when the time is up. */
  lateReason: () => unknown
}

/** One signal for both. It listens and counts only while somebody holds it, so that nothing is left when nobody does. */
export class Lifetime {
  readonly #options: LifetimeOptions
  readonly #ended = new AbortController()
  readonly #deadlineAt: number
  #holds = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /** @throws {ConfigurationError} for a time that is none. */
  constructor(options: LifetimeOptions) {
    if (options.timeoutMs !== undefined) assertTimeout(options.timeoutMs)
    this.#options = options
    this.#deadlineAt = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY)
  }

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** Listens until the answered function is called. */
  hold(): () => void {
    if (this.#holds === 0) this.#listen()
    this.#holds += 1
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holds -= 1
      if (this.#holds > 0) return
      clearTimeout(this.#timer)
      this.#options.signal?.removeEventListener('abort', this.#onAbort)
    }
  }

  #listen(): void {
    const { signal, timeoutMs, lateReason } = this.#options
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (timeoutMs === undefined) return
    this.#timer = timer(() => this.#ended.abort(lateReason()), Math.max(0, this.#deadlineAt - performance.now()))
  }

  readonly #onAbort = (): void => this.#ended.abort(this.#options.signal?.reason)
}

/**
 * Work that is given a signal, which fires when its caller's does or when its time is up.
 *
 * @param late the message of the latter.
 * @throws {TimeoutError} `client_timeout`; where the caller's signal has fired, its reason.
 */
export async function withinTime<T>(
  { signal, timeoutMs, late }: Omit<LifetimeOptions, 'lateReason'> & { late: string },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const life = new Lifetime({ signal, timeoutMs, lateReason: () => new Error('deadline') })
  const release = life.hold()
  try {
    return await work(life.signal)
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    if (!life.signal.aborted) throw error
    throw new TimeoutError(late, { code: 'client_timeout', cause: error })
  } finally {
    release()
  }
}
