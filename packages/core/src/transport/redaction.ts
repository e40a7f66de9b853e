const mark = '[redacted]'

/** Takes a secret out of every string of a JSON value, names too: JSON can write the same text in many ways. */
export function redactedData<Value>(value: Value, redact: (text: string) => string): Value {
  return redacted(value, redact) as Value // the same shape
}

function redacted(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === 'string') return redact(value)
  if (Array.isArray(value)) return value.map((item) => redacted(item, redact))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [redact(name), redacted(item, redact)]))
}

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
