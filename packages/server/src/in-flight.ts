/** Tracks requests in progress, so that the server can close after the last of them. */
export class InFlight {
  readonly #answers = new Set<Promise<unknown>>()
  #isClosed = false

  /** Runs and tracks a request. @throws {TypeError} after {@link close}, as `fetch` does if no server listens. */
  track<T>(answer: () => T | Promise<T>): T | Promise<T> {
    if (this.#isClosed) throw new TypeError('the server is closed')
    const result = answer()
    if (result instanceof Promise) this.hold(result)
    return result
  }

  /** Tracks work that continues after its answer has begun. */
  hold(work: Promise<unknown>): void {
    this.#answers.add(work)
    const forget = (): void => void this.#answers.delete(work)
    work.then(forget, forget)
  }

  /** Refuses further requests. */
  close(): void {
    this.#isClosed = true
  }

  /** Resolves when all requests are answered, or after the timeout: a client may never send its body. */
  async drained(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)))
    await Promise.race([Promise.allSettled(this.#answers), timeout])
    clearTimeout(timer)
  }
}
