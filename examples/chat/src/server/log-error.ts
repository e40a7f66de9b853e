/** Keys of Anthropic, OpenAI and Theazo. */
const key = /\b(?:sk|th)[-_][\w-]+/g

/** Logs an error of another service without the keys that its message may quote. */
export function logError(error: unknown): void {
  console.error(String(error).replaceAll(key, '[key]'))
}
