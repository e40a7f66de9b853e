/**
 * Lets only so much work go on at a time. Owners with waiting work have turns, one after another: an owner with a
 * thousand waiting works delays another one by a single work.
 */
export class FairQueue {
  readonly #slots: number
  #taken = 0
  /** In the order of their turns; none without a waiting work. */
  readonly #owners = new Map<string, (() => void)[]>()

  constructor(slots: number) {
    this.#slots = slots
  }

  /** True while any work goes on. */
  get isBusy(): boolean {
    return this.#taken > 0
  }

  /** Works that wait now. */
  get length(): number {
    let length = 0
    for (const waiting of this.#owners.values()) length += waiting.length
    return length
  }

  /**
   * Waits for a turn.
   *
   * @returns what ends the work; calling it again changes nothing.
   * @throws the signal's reason, if it fires before the turn.
   */
  async enter(owner: string, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (this.#taken < this.#slots) this.#taken += 1
    else await this.#turn(owner, signal)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#next()
    }
  }

  /** Runs the work in its turn. @throws what it throws; the signal's reason, if it fires before the turn. */
  async run<Result>(owner: string, work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const leave = await this.enter(owner, signal)
    try {
      return await work()
    } finally {
      leave()
    }
  }

  #turn(owner: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        this.#remove(owner, begin)
        reject(signal?.reason as Error) // whatever the caller aborts with
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      const waiting = this.#owners.get(owner)
      if (waiting) waiting.push(begin)
      else this.#owners.set(owner, [begin])
    })
  }

  /** Gives a slot that has become free to the next owner, whose turn comes last then. */
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
