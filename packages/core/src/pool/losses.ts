/** The cap on stored keys. The oldest are dropped first. */
const maxKeys = 10_000

/** Stores why the sandbox of a key is gone. A model that expects its files gets one notice. */
export class Losses {
  readonly #losses = new Map<string, string>()
  readonly #notices = new Map<string, string>()

  /** Stores that the sandbox of a key is gone. */
  addLoss(key: string, reason: string): void {
    store(this.#losses, key, reason)
  }

  /**
   * Turns the loss of a key into a notice, after the key got another sandbox.
   *
   * @param isNew false if an existing sandbox was found. Its files still exist, so that there is no notice.
   */
  addReplacement(key: string, isNew: boolean): void {
    const reason = this.#losses.get(key)
    this.#losses.delete(key)
    if (reason === undefined || !isNew) return
    const text = `The sandbox of earlier calls is gone: ${reason}. This is a new one; earlier files and processes are lost.`
    store(this.#notices, key, text)
  }

  /** Returns the notice for the next result of the key, and removes it. */
  takeNotice(key: string): string | undefined {
    const notice = this.#notices.get(key)
    this.#notices.delete(key)
    return notice
  }
}

function store(map: Map<string, string>, key: string, text: string): void {
  map.delete(key)
  map.set(key, text)
  const [oldest] = map.keys()
  if (map.size > maxKeys && oldest !== undefined) map.delete(oldest)
}
