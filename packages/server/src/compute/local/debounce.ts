/** Runs work after a quiet time. It prepares for the next agent, and must not use the CPUs while an agent is being created. */
export class Debounce {
  readonly #work: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(work: () => void) {
    this.#work = work
  }

  /** Runs the work after the quiet time; a pending run is postponed. The timer does not keep the process alive. */
  schedule(): void {
    this.cancel()
    this.#timer = setTimeout(this.#work, quietMs).unref()
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }
}

const quietMs = 100
