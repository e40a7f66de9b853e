import { ApiError } from '../errors.ts'
import { isNearWord, nearestWord } from '../nearest-word.ts'

/** What each directive takes: a whole number, the exit code of a process, a text, or nothing that would be read. */
type Directives = Readonly<Record<string, 'number' | 'exitCode' | 'text' | 'none'>>

/** In the code of an exec, and in the text of a task (README, Test keys). */
const directives = {
  code: {
    stdout: 'text',
    stderr: 'text',
    exit: 'exitCode',
    delay: 'number',
    truncated: 'none',
    timeout: 'none',
    error: 'text',
  },
  task: {
    output: 'text',
    output_bytes: 'number',
    cost: 'number',
    steps: 'number',
    delay: 'number',
    tool_error: 'none',
    error: 'text',
    hang: 'none',
    refuse: 'text',
  },
} as const satisfies Record<string, Directives>

/** Names in any spelling; a digit after the colon is a port. */
const namePattern = /\btheazo:([a-z_][\w-]*)(=("|[^\s"]*))?/gi
const maxShownChars = 40

/**
 * Refuses a directive of a test key that would not do what it says: one that is misspelt, belongs elsewhere, has no number
 * where one is needed, or a quote that does not end. A name without a value that is like none of them is no directive, but
 * part of the text, e.g. `docker run theazo:latest`.
 *
 * @param field where the text stands.
 * @throws {ApiError} 422 that names the nearest directive there is.
 */
export function assertDirectives(field: keyof typeof directives, text: string): void {
  const known: Directives = directives[field]
  namePattern.lastIndex = 0
  for (let match; (match = namePattern.exec(text));) {
    const [, name = '', assigned, value = ''] = match
    const start = namePattern.lastIndex
    if (value === '"') namePattern.lastIndex = endOfQuoted(text, start)
    const kind = Object.hasOwn(known, name) ? known[name] : undefined
    const shown = `theazo:${name.slice(0, maxShownChars)}`
    if (kind === undefined && assigned === undefined && !isMeant(name)) continue
    if (kind === undefined) throw invalid(field, `has no directive '${shown}'; ${suggestion(field, name)}`)
    const given = `'${shown}${(assigned ?? '').slice(0, maxShownChars)}'`
    if (kind === 'number' && !/^\d{1,9}$/.test(value)) {
      throw invalid(field, `'${shown}' takes a whole number: ${shown}=1, not ${given}`)
    }
    if (kind === 'exitCode' && !(/^\d{1,3}$/.test(value) && Number(value) <= 255)) {
      throw invalid(field, `'${shown}' takes a whole number from 0 to 255: ${shown}=1, not ${given}`)
    }
    if (kind === 'text' && assigned === undefined) throw invalid(field, `'${shown}' takes a value: ${shown}=…`)
    if (value === '"' && namePattern.lastIndex === start) {
      throw invalid(field, `'${shown}' has a value whose quote does not end: ${shown}="…"`)
    }
  }
}

/** Whether a name is a directive, perhaps of the other field or misspelt by little. */
function isMeant(name: string): boolean {
  const word = name.slice(0, maxShownChars)
  return Object.values(directives).some((known) => isNearWord(word, Object.keys(known)))
}

/** The index after the quote that ends a value; the start if there is none. */
function endOfQuoted(text: string, start: number): number {
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') return at + 1
  }
  return start
}

function suggestion(field: keyof typeof directives, name: string): string {
  const other = field === 'code' ? 'task' : 'code'
  if (Object.hasOwn(directives[other], name)) return `that one belongs into the ${other}`
  return `did you mean 'theazo:${nearestWord(name.slice(0, maxShownChars), Object.keys(directives[field]))}'?`
}

function invalid(field: string, message: string): ApiError {
  return ApiError.invalid({ [field]: [message] })
}
