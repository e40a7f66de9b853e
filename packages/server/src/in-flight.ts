/** Counts requests that are being answered, so that a server can close after the last of them. */
export class InFlight {
  readonly #answers = new Set<Promise<unknown>>()
  #isClosed = false

  /** @throws {TypeError} once closed: as `fetch` does where nobody listens. */
  track<T>(answer: () => T | Promise<T>): T | Promise<T> {
    if (this.#isClosed) throw new TypeError('the server is closed')
    const given = answer()
    if (given instanceof Promise) this.hold(given)
    return given
  }

  /** Work that goes on after its answer has begun counts too. */
  hold(work: Promise<unknown>): void {
    this.#answers.add(work)
    const forget = (): void => void this.#answers.delete(work)
    work.then(forget, forget)
  }

  /** Lets nothing more in. */
  close(): void {
    this.#isClosed = true
  }

  /** Resolves when all are answered, or after this long: a client that never sends its body must not hold a server. */
  async drained(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)))
    await Promise.race([Promise.allSettled(this.#answers), timeout])
    clearTimeout(timer)
  }
}
