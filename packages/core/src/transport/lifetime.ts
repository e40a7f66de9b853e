import { configurationError, TimeoutError } from '../errors.ts'

/** The longest delay of a platform timer. A longer one would fire immediately. */
const maxTimerMs = 2 ** 31 - 1

/** `setTimeout` that accepts any number of milliseconds; it waits 24.8 days at most. */
export function timer(work: () => void, ms: number): ReturnType<typeof setTimeout> {
  return setTimeout(work, Math.min(ms, maxTimerMs))
}

/** @throws {ConfigurationError} if the value is not a number above 0. */
export function assertTimeout(timeoutMs: number): void {
  if (typeof timeoutMs === 'number' && timeoutMs > 0) return
  const message = `timeoutMs must be a number of milliseconds above 0, not ${timeoutMs}.`
  throw configurationError(message)
}

/** The two reasons why work may end early: the caller's signal and a timeout. */
export interface LifetimeOptions {
  signal: AbortSignal | undefined
  /** Milliseconds from now; undefined for no timeout. */
  timeoutMs: number | undefined
  /** Creates the reason of the combined signal at the timeout. */
  timeoutReason: () => unknown
}

/**
 * Combines the caller's signal and a timeout into one signal. It has a listener and a timer only while somebody holds it,
 * so that neither outlives the work.
 */
export class Lifetime {
  readonly #options: LifetimeOptions
  readonly #ended = new AbortController()
  readonly #deadlineAt: number
  #holds = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  /** @throws {ConfigurationError} for an invalid timeout. */
  constructor(options: LifetimeOptions) {
    if (options.timeoutMs !== undefined) assertTimeout(options.timeoutMs)
    this.#options = options
    this.#deadlineAt = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY)
  }

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** Starts the listener and the timer. The returned function releases them; further calls of it do nothing. */
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
    const { signal, timeoutMs, timeoutReason } = this.#options
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (timeoutMs === undefined) return
    this.#timer = timer(() => this.#ended.abort(timeoutReason()), Math.max(0, this.#deadlineAt - performance.now()))
  }

  readonly #onAbort = (): void => this.#ended.abort(this.#options.signal?.reason)
}

/**
 * Runs work with a signal that fires at the caller's abort and at the timeout.
 *
 * @param timeoutMessage the message of the {@link TimeoutError}.
 * @throws {TimeoutError} `client_timeout`; at the caller's abort the reason of the caller's signal.
 */
export async function withinTime<T>(
  { signal, timeoutMs, timeoutMessage }: Omit<LifetimeOptions, 'timeoutReason'> & { timeoutMessage: string },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const life = new Lifetime({ signal, timeoutMs, timeoutReason: () => new Error('deadline') })
  const release = life.hold()
  try {
    return await work(life.signal)
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    if (!life.signal.aborted) throw error
    throw new TimeoutError(timeoutMessage, { code: 'client_timeout', cause: error })
  } finally {
    release()
  }
}
