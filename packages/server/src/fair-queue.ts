import { asError } from './errors.ts'

/**
 * Limits the number of jobs that run at the same time. Owners with waiting jobs alternate: an owner with a thousand waiting
 * jobs delays another owner by one job only.
 */
export class FairQueue {
  readonly #slots: number
  #taken = 0
  /** Owners with waiting jobs, in the order in which they get the next slots. */
  readonly #owners = new Map<string, (() => void)[]>()

  constructor(slots: number) {
    this.#slots = slots
  }

  /** True while a job runs. */
  get isBusy(): boolean {
    return this.#taken > 0
  }

  /** Number of waiting jobs. */
  get length(): number {
    let length = 0
    for (const waiting of this.#owners.values()) length += waiting.length
    return length
  }

  /**
   * Waits for a slot.
   *
   * @returns a function that frees the slot; calling it again has no effect.
   * @throws {Error} the signal's reason, if the signal fires before that.
   */
  async enter(owner: string, signal?: AbortSignal): Promise<() => void> {
    if (signal?.aborted) throw asError(signal.reason)
    if (this.#taken < this.#slots) this.#taken += 1
    else await this.#wait(owner, signal)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#next()
    }
  }

  /** Waits for a slot and runs the job. @throws errors of the job; the signal's reason, if it fires before the start. */
  async run<Result>(owner: string, work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const leave = await this.enter(owner, signal)
    try {
      return await work()
    } finally {
      leave()
    }
  }

  #wait(owner: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        this.#remove(owner, begin)
        reject(asError(signal?.reason))
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      const waiting = this.#owners.get(owner)
      if (waiting) waiting.push(begin)
      else this.#owners.set(owner, [begin])
    })
  }

  /** Gives a free slot to the next owner and moves that owner to the end. */
  #next(): void {
    for (const [owner, waiting] of this.#owners) {
      const begin = waiting.shift()
      this.#owners.delete(owner)
      if (waiting.length > 0) this.#owners.set(owner, waiting)
      return begin?.()
    }
    this.#taken -= 1
  }

  #remove(owner: string, begin: () => void): void {
    const waiting = this.#owners.get(owner)?.filter((each) => each !== begin) ?? []
    if (waiting.length > 0) this.#owners.set(owner, waiting)
    else this.#owners.delete(owner)
  }
}
