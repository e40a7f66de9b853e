/** Work for the next agent, done once it has been quiet for a while: the CPUs are those of the agent that is being made. */
export class WhenQuiet {
  readonly #work: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(work: () => void) {
    this.#work = work
  }

  /** Asks for it; what was asked for before is put off. No process lives on for it. */
  ask(): void {
    this.cancel()
    this.#timer = setTimeout(this.#work, quietMs).unref()
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }
}

const quietMs = 100
