import type { Socket } from 'node:net'
import type { EgressOutcome } from './refusal.ts'
import type { Target } from './target.ts'

/** One use of the network by code. It contains neither paths nor headers. */
export interface EgressRecord {
  /** Undefined if the request named none. */
  target: Target | undefined
  outcome: EgressOutcome
  /** Bytes from the code to the target, and back. */
  bytesUp: number
  bytesDown: number
  durationMs: number
}

/** Measures one use of the network, and reports it once. */
export class OpenRecord {
  target: Target | undefined
  /** Counts the bytes. */
  upstream: Socket | undefined
  readonly #onEnd: (record: EgressRecord) => void
  readonly #startedAt = performance.now()
  readonly #ended = Promise.withResolvers<void>()
  #isEnded = false

  constructor(onEnd: (record: EgressRecord) => void) {
    this.#onEnd = onEnd
  }

  /** Resolves when the outcome is reported. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  /** Reports the first outcome; later calls do nothing. */
  end(outcome: EgressOutcome): void {
    if (this.#isEnded) return
    this.#isEnded = true
    const { bytesWritten: bytesUp = 0, bytesRead: bytesDown = 0 } = this.upstream ?? {}
    const durationMs = Math.round(performance.now() - this.#startedAt)
    this.#onEnd({ target: this.target, outcome, bytesUp, bytesDown, durationMs })
    this.#ended.resolve()
  }
}
