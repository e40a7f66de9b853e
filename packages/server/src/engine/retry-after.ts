/**
 * Milliseconds of a `Retry-After` header: seconds, or a date (RFC 9110, 10.2.3).
 *
 * @returns at least 0; undefined if the header is absent or is neither.
 */
export function retryAfterMs(header: string | null | undefined): number | undefined {
  const text = header?.trim() ?? ''
  if (text === '') return undefined
  const seconds = Number(text)
  const ms = Number.isNaN(seconds) ? Date.parse(text) - Date.now() : seconds * 1000
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
