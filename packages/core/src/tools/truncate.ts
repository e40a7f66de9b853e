/**
 * Keeps the head and the tail of a text and says what was cut: errors stand at the end, context at the start.
 *
 * @param maxChars UTF-16 code units kept, the note not counted.
 */
export function truncate(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  const headEnd = withoutSplitPair(text, Math.ceil(maxChars / 2))
  const tailStart = withoutSplitPair(text, text.length - Math.floor(maxChars / 2))
  return `${text.slice(0, headEnd)}\n[… ${tailStart - headEnd} of ${text.length} characters cut …]\n${text.slice(tailStart)}`
}

/** Moves an index off the middle of a surrogate pair, which no encoder could write. */
function withoutSplitPair(text: string, index: number): number {
  const isLowSurrogate = (text.charCodeAt(index) & 0xfc00) === 0xdc00
  return isLowSurrogate ? index - 1 : index
}
