/** UTF-16 code units of one text that a model reads, at most. */
const maxTextChars = 100_000

/** UTF-16 code units of each stream of an exec that a model reads, at most. */
export const maxStreamChars = 30_000

/** Only white space, control characters and invisible format characters: providers refuse it as empty. */
const blank = /^[\s\p{Cc}\p{Cf}]*$/u

/**
 * Makes any text fit for a model: well-formed Unicode, without NUL, never blank, never longer than its cap. Providers
 * and databases refuse a request that holds anything else, and then every later turn of the conversation too.
 *
 * @param whenBlank stands in for a text without a visible character.
 */
export function modelText(text: string, whenBlank = '(no output)', maxChars: number = maxTextChars): string {
  const clean = cleanText(text)
  return truncate(blank.test(clean) ? whenBlank : clean, maxChars)
}

/** True if the text has no visible character. */
export function isBlank(text: string): boolean {
  return blank.test(text)
}

/** The text as well-formed Unicode without NUL: half a surrogate pair becomes U+FFFD, NUL the sign ␀. */
export function cleanText(text: string): string {
  const wellFormed = text.isWellFormed() ? text : text.toWellFormed()
  return wellFormed.includes('\0') ? wellFormed.replaceAll('\0', '\u2400') : wellFormed
}

/**
 * The same for every string of a JSON value. Answers the value itself if there is nothing to change: data may hold
 * megabytes of base64.
 */
export function cleanData<Data>(data: Data): Data {
  return cleaned(data) as Data // the same shape: only the content of strings differs
}

function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return value
  let isChanged = false
  const clean = (item: unknown): unknown => {
    const result = cleaned(item)
    isChanged ||= result !== item
    return result
  }
  const copy = Array.isArray(value)
    ? value.map(clean)
    : Object.fromEntries(Object.entries(value).map(([name, item]) => [clean(name), clean(item)]))
  return isChanged ? copy : value
}

/**
 * Keeps the head and the tail of a text and says how much was cut: errors stand at the end, context at the start.
 *
 * @param maxChars UTF-16 code units of the result, the note included.
 */
export function truncate(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  const note = (cutChars: number): string => `\n[… ${cutChars} of ${text.length} characters cut …]\n`
  const room = maxChars - note(text.length).length
  if (room <= 0) return text.slice(0, pairStart(text, maxChars))
  const headEnd = pairStart(text, Math.ceil(room / 2))
  const tailStart = pairEnd(text, text.length - Math.floor(room / 2))
  return `${text.slice(0, headEnd)}${note(tailStart - headEnd)}${text.slice(tailStart)}`
}

/** Moves an index off the middle of a surrogate pair, to its start. */
function pairStart(text: string, index: number): number {
  return isInPair(text, index) ? index - 1 : index
}

/** Moves an index off the middle of a surrogate pair, to its end. */
function pairEnd(text: string, index: number): number {
  return isInPair(text, index) ? index + 1 : index
}

function isInPair(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xdc00 && (text.charCodeAt(index - 1) & 0xfc00) === 0xd800
}
