import type { ToolEvent } from '@theazo/core/tools'

/** A call that reports events, and what is known of its result while it runs. */
export interface LiveCall<Snapshot, Result> {
  /** Starts the call. It must reject when the signal fires. */
  start: (options: { signal: AbortSignal; onEvent: (event: ToolEvent) => void }) => Promise<Result>
  add: (event: ToolEvent) => void
  snapshot: () => Snapshot
  /** Milliseconds from one snapshot to the next. */
  intervalMs: number
  abortSignal: AbortSignal | undefined
}

/**
 * Yields snapshots of a call while it runs, and then its result. Snapshots never delay the call: a slow consumer gets
 * fewer of them.
 *
 * An abort of `abortSignal` stops the call, also if the consumer never asks for another value: the AI SDK 6 does not after
 * an abort. The call is also stopped if the consumer leaves the iteration.
 */
export async function* liveResults<Snapshot, Result>(
  call: LiveCall<Snapshot, Result>,
): AsyncGenerator<Snapshot | Result, void, undefined> {
  const { abortSignal } = call
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(abortSignal?.reason)
  if (abortSignal?.aborted) onAbort()
  abortSignal?.addEventListener('abort', onAbort, { once: true })
  const throttle = new Throttle(call.intervalMs)
  const onEvent = (event: ToolEvent): void => {
    call.add(event)
    throttle.change()
  }
  const ended = call.start({ signal: stop.signal, onEvent }).finally(() => {
    abortSignal?.removeEventListener('abort', onAbort)
    throttle.end()
  })
  ended.catch(() => {}) // it is awaited below, unless the consumer leaves
  try {
    while (await throttle.next()) yield call.snapshot()
    yield await ended
  } finally {
    stop.abort(new Error('The consumer left the results of the call.')) // has no effect on a call that has ended
    await ended.catch(() => {})
  }
}

/** Decides when the next snapshot is due: after a change, and `intervalMs` after the previous one. */
class Throttle {
  readonly #intervalMs: number
  #isChanged = false
  #isDue = true
  #isEnded = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #wake = Promise.withResolvers<void>()

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  change(): void {
    this.#isChanged = true
    if (this.#isDue) this.#wake.resolve()
  }

  end(): void {
    this.#isEnded = true
    clearTimeout(this.#timer)
    this.#wake.resolve()
  }

  /** Waits for the next snapshot; false when the call has ended. */
  async next(): Promise<boolean> {
    while (!this.#isEnded && !(this.#isChanged && this.#isDue)) {
      await this.#wake.promise
      this.#wake = Promise.withResolvers()
    }
    if (this.#isEnded) return false
    this.#isChanged = false
    this.#isDue = false
    this.#timer = setTimeout(() => {
      this.#isDue = true
      if (this.#isChanged) this.#wake.resolve()
    }, this.#intervalMs)
    return true
  }
}
