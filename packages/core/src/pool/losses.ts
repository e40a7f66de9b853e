/** Keys that are remembered; the oldest are forgotten first. */
const maxKeys = 10_000

/** Why the sandboxes of keys are gone, for models that expect their files; each is said once. */
export class Losses {
  readonly #losses = new Map<string, string>()
  readonly #notices = new Map<string, string>()

  /** The key's sandbox is gone. */
  note(key: string, why: string): void {
    remember(this.#losses, key, why)
  }

  /** The key has a sandbox again. @param isNew false for one that was found, whose files are there. */
  replaced(key: string, isNew: boolean): void {
    const why = this.#losses.get(key)
    this.#losses.delete(key)
    if (why === undefined || !isNew) return
    const text = `The sandbox of earlier calls is gone: ${why}. This is a new one; earlier files and processes are lost.`
    remember(this.#notices, key, text)
  }

  /** What the next result of the key is to say. */
  takeNotice(key: string): string | undefined {
    const notice = this.#notices.get(key)
    this.#notices.delete(key)
    return notice
  }
}

function remember(map: Map<string, string>, key: string, text: string): void {
  map.delete(key)
  map.set(key, text)
  const [oldest] = map.keys()
  if (map.size > maxKeys && oldest !== undefined) map.delete(oldest)
}
