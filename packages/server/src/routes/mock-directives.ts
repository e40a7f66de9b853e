import { ApiError } from '../errors.ts'
import { isNearWord, nearestWord } from '../nearest-word.ts'

/** The value of each directive: a whole number, the exit code of a process, a text, or none (a value is ignored). */
type Directives = Readonly<Record<string, 'number' | 'exitCode' | 'text' | 'none'>>

/** Directives in the code of an exec and in the text of a task (README, Test keys). */
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

/** Matches names in any spelling. A digit after the colon is a port, not a directive. */
const namePattern = /\btheazo:([a-z_][\w-]*)(=("|[^\s"]*))?/gi
const maxShownChars = 40

/**
 * Refuses a directive that would have no effect: it is misspelt, belongs in the other field, lacks its number, or has an
 * unterminated quote. A name without a value that resembles no directive is part of the text, e.g.
 * `docker run theazo:latest`.
 *
 * @param field the field that contains the text.
 * @throws {ApiError} 422 that names the most similar directive.
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
    if (kind === undefined && assigned === undefined && !isLikeDirective(name)) continue
    if (kind === undefined) throw invalid(field, `has no directive '${shown}'; ${suggestion(field, name)}`)
    const given = `'${shown}${(assigned ?? '').slice(0, maxShownChars)}'`
    if (kind === 'number' && !/^\d{1,9}$/.test(value)) {
      throw invalid(field, `'${shown}' needs a whole number: ${shown}=1, not ${given}`)
    }
    if (kind === 'exitCode' && !(/^\d{1,3}$/.test(value) && Number(value) <= 255)) {
      throw invalid(field, `'${shown}' needs a whole number from 0 to 255: ${shown}=1, not ${given}`)
    }
    if (kind === 'text' && assigned === undefined) throw invalid(field, `'${shown}' needs a value: ${shown}=…`)
    if (value === '"' && namePattern.lastIndex === start) {
      throw invalid(field, `'${shown}' has an unterminated quote: write ${shown}="…"`)
    }
  }
}

/** True if a name is meant as a directive, perhaps one of the other field or slightly misspelt. */
function isLikeDirective(name: string): boolean {
  const word = name.slice(0, maxShownChars)
  return Object.values(directives).some((known) => isNearWord(word, Object.keys(known)))
}

/** The index after the closing quote of a value; `start` if the quote is unterminated. */
function endOfQuoted(text: string, start: number): number {
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') return at + 1
  }
  return start
}

function suggestion(field: keyof typeof directives, name: string): string {
  const other = field === 'code' ? 'task' : 'code'
  if (Object.hasOwn(directives[other], name)) return `it belongs in the ${other}`
  return `did you mean 'theazo:${nearestWord(name.slice(0, maxShownChars), Object.keys(directives[field]))}'?`
}

function invalid(field: string, message: string): ApiError {
  return ApiError.invalid({ [field]: [message] })
}
