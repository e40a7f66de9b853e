const mark = '[redacted]'

/**
 * Redacts every string of a parsed JSON value, property names included. A search in the JSON text would miss a secret that
 * is written with escapes.
 */
export function redactedData<Value>(value: Value, redact: (text: string) => string): Value {
  return redacted(value, redact) as Value // the same shape
}

function redacted(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === 'string') return redact(value)
  if (Array.isArray(value)) return value.map((item) => redacted(item, redact))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [redact(name), redacted(item, redact)]))
}

/** Removes one secret from texts: a server or a proxy may send back the API key that it received. */
export class Redaction {
  readonly #secret: string
  /** The secret as it is written in a JSON string. */
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
