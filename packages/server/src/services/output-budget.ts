/** Bytes of each stream that every exec may store, independent of the budget. */
const guaranteedBytes = 256 * 1024

/** The part of the budget that one exec uses until its answer is read. */
export interface OutputHold {
  /**
   * Reserves memory for more output of a stream.
   *
   * @param heldBytes bytes that the stream has already.
   * @returns false if the output must be truncated.
   */
  take(bytes: number, heldBytes: number): boolean
  release(): void
}

/**
 * Limits the output in memory of all execs: output of running code, and answers that clients have not read. One project
 * can use half of the budget, so that a client that reads nothing leaves room for others. Output beyond it is truncated.
 */
export class OutputBudget {
  readonly #maxBytes: number
  readonly #byProject = new Map<string, number>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes in use. */
  get bytes(): number {
    return this.#bytes
  }

  hold(project: string): OutputHold {
    let ownBytes = 0
    return {
      take: (bytes, heldBytes) => {
        if (heldBytes + bytes <= guaranteedBytes) return true
        if (!this.#hasRoom(project, bytes)) return false
        this.#add(project, bytes)
        ownBytes += bytes
        return true
      },
      release: () => {
        this.#add(project, -ownBytes)
        ownBytes = 0
      },
    }
  }

  #hasRoom(project: string, bytes: number): boolean {
    const ofProject = this.#byProject.get(project) ?? 0
    return this.#bytes + bytes <= this.#maxBytes && ofProject + bytes <= this.#maxBytes / 2
  }

  #add(project: string, bytes: number): void {
    this.#bytes += bytes
    const ofProject = (this.#byProject.get(project) ?? 0) + bytes
    if (ofProject > 0) this.#byProject.set(project, ofProject)
    else this.#byProject.delete(project)
  }
}
