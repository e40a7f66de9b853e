/**
 * Keys of Anthropic, OpenAI, Theazo, Google and AWS, and bearer tokens. Keys of Azure and secret keys of AWS have no mark by
 * which a text can be searched: with such a provider, remove your own key here too.
 */
const key = /\b(?:sk|th)[-_][\w-]+|\bAIza[\w-]{20,}|\b(?:AKIA|ASIA)[A-Z\d]{12,}|\bBearer\s+[\w.~+/=-]+/g

/** Logs an error of another service without the keys that its message may quote. */
export function logError(error: unknown): void {
  console.error(String(error).replaceAll(key, '[key]'))
}
