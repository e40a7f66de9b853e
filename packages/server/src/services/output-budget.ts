/** Bytes of each stream that every exec may keep, whatever others hold. */
const guaranteedBytes = 256 * 1024

/** What one exec holds of the budget, until its answer is read. */
export interface OutputHold {
  /** Asks for room for more output, after what the stream has already; false if it is to be cut. */
  take(bytes: number, heldBytes: number): boolean
  release(): void
}

/**
 * Bounds the output that the server holds for all execs: what they have printed, and answers that clients do not read. A
 * project can take half of it, so that one that reads nothing leaves room to others. Beyond it output is cut, and says so.
 */
export class OutputBudget {
  readonly #maxBytes: number
  readonly #byProject = new Map<string, number>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes that are held now. */
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
