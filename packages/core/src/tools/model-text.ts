/** The cap on one text for a model, in UTF-16 code units. */
const maxTextChars = 100_000

/** The cap on each output stream of an exec in a text for a model, in UTF-16 code units. */
export const maxStreamChars = 30_000

/** Matches a text of white space, control characters and invisible format characters, which providers refuse as empty. */
const blank = /^[\s\p{Cc}\p{Cf}]*$/u

/**
 * Makes a text safe for models: well-formed Unicode, without NUL, not blank, and not longer than its cap. Providers and
 * databases refuse a request with any other text, and then also every later request of the conversation.
 *
 * @param whenBlank replaces a text without a visible character.
 * @param maxChars UTF-16 code units of the result. Default 100,000.
 * @example
 * ```ts
 * import { modelText } from '@theazo/core/tools'
 *
 * const { stdout } = await agent.exec('bash', 'ls')
 * const text = modelText(stdout, '(no files)')
 * ```
 */
export function modelText(text: string, whenBlank = '(no output)', maxChars: number = maxTextChars): string {
  const clean = cleanText(text)
  return truncate(blank.test(clean) ? whenBlank : clean, maxChars)
}

/**
 * True if the text has no visible character.
 *
 * @example
 * ```ts
 * import { isBlank } from '@theazo/core/tools'
 *
 * const { stderr } = await agent.exec('bash', 'make')
 * if (!isBlank(stderr)) console.warn(stderr)
 * ```
 */
export function isBlank(text: string): boolean {
  return blank.test(text)
}

/** The text as well-formed Unicode without NUL. Half of a surrogate pair becomes U+FFFD, NUL becomes ␀. */
export function cleanText(text: string): string {
  const wellFormed = text.isWellFormed() ? text : text.toWellFormed()
  return wellFormed.includes('\0') ? wellFormed.replaceAll('\0', '\u2400') : wellFormed
}

/**
 * Applies {@link cleanText} to every string of a JSON value. If nothing changes, it returns the value itself: data may
 * contain megabytes of base64.
 */
export function cleanData<Data>(data: Data): Data {
  return isClean(data) ? data : (cleaned(data) as Data) // the same shape: only strings change
}

/** Almost all data is clean. This check makes no copies; it runs for each chunk of output. */
function isClean(value: unknown): boolean {
  if (typeof value === 'string') return cleanText(value) === value
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isClean)
  for (const name of Object.keys(value)) {
    if (!isClean(name) || !isClean((value as Record<string, unknown>)[name])) return false
  }
  return true
}

function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(cleaned)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [cleanText(name), cleaned(item)]))
}

/**
 * The two output streams of code as one text for a model, without the last line break of each. A stream without a visible
 * character is left out.
 *
 * @example
 * ```ts
 * import { outputText } from '@theazo/core/tools'
 *
 * const text = outputText(await agent.exec('bash', 'make'))
 * ```
 */
export function outputText({ stdout, stderr }: { stdout: string; stderr: string }): string {
  const parts = [isBlank(stdout) ? '' : stdout, isBlank(stderr) ? '' : `[stderr]\n${stderr}`]
  return parts
    .filter((part) => part !== '')
    .map((part) => part.replace(/\n$/, ''))
    .join('\n')
}

/**
 * Cuts the middle of a text and puts a note there. Errors are often at the end of an output, the context at its start.
 *
 * @param maxChars UTF-16 code units of the result, the note included.
 * @example
 * ```ts
 * import { truncate } from '@theazo/core/tools'
 *
 * const log = truncate(await agent.files.readText('build.log'), 10_000)
 * ```
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

/** Moves an index in the middle of a surrogate pair to the pair's start. */
function pairStart(text: string, index: number): number {
  return isInPair(text, index) ? index - 1 : index
}

/** Moves an index in the middle of a surrogate pair to the pair's end. */
function pairEnd(text: string, index: number): number {
  return isInPair(text, index) ? index + 1 : index
}

function isInPair(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xdc00 && (text.charCodeAt(index - 1) & 0xfc00) === 0xd800
}
