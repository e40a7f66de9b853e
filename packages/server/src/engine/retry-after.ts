/**
 * The wait of a `Retry-After` header in milliseconds. The header has seconds or a date (RFC 9110, 10.2.3).
 *
 * @returns at least 0; undefined if the header is absent or is neither.
 */
export function retryAfterMs(header: string | null | undefined): number | undefined {
  const text = header?.trim() ?? ''
  if (text === '') return undefined
  const seconds = /^\d+(?:\.\d+)?/.exec(text)?.[0]
  const ms = seconds === undefined ? Date.parse(text) - Date.now() : Number(seconds) * 1000
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
