/** The time at which a request must be answered. It passes early if the client cancels the request. */
export class Deadline implements Disposable {
  /** Resolves when the time has passed or the request is cancelled. */
  readonly passed: Promise<undefined>
  readonly #due = new AbortController()
  readonly #request: AbortSignal
  readonly #timer: ReturnType<typeof setTimeout>
  readonly #pass: () => void

  constructor(seconds: number, request: AbortSignal) {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.passed = promise
    this.#request = request
    this.#pass = () => {
      this.#due.abort()
      resolve(undefined)
    }
    this.#timer = setTimeout(this.#pass, seconds * 1000)
    request.addEventListener('abort', this.#pass)
    if (request.aborted) this.#pass()
  }

  /** Fires when the time has passed or the request is cancelled. */
  get signal(): AbortSignal {
    return this.#due.signal
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#request.removeEventListener('abort', this.#pass)
  }
}
