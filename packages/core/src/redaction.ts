const mark = '[redacted]'

/** Keeps one secret out of what is shown: a server or a proxy may send back what it was sent. */
export class Redaction {
  readonly #secret: string
  /** As it stands inside a JSON string. */
  readonly #escaped: string

  constructor(secret: string) {
    this.#secret = secret
    this.#escaped = JSON.stringify(secret).slice(1, -1)
  }

  of(headers: Record<string, string>): Record<string, string> {
    return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, this.ofText(value)]))
  }

  ofText(text: string): string {
    return text.replaceAll(this.#secret, mark).replaceAll(this.#escaped, mark)
  }
}
