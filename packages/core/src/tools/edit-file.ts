import { z } from 'zod/v4'
import { defineTool, type Tool } from './define-tool.ts'
import { filesOf } from './files-of.ts'
import { truncate } from './model-text.ts'
import { occurrences } from './occurrences.ts'
import { path } from './schemas.ts'
import { ToolInputError } from './tool-input-error.ts'
import { toolPath } from './tool-path.ts'

/** Input of `edit_file`. */
export interface EditFileInput {
  path: string
  oldText: string
  newText: string
  replaceAll?: boolean | undefined
}

/** Data of `edit_file`. */
export interface EditFileData {
  path: string
  /** The number of replaced occurrences. */
  count: number
  /** The first 20 lines with a replaced occurrence. 1-based line numbers of the file before the edit. */
  lines: number[]
}

const maxBytes = 10 * 1024 * 1024
const maxLines = 20
/** The cap on replaced occurrences. */
const maxPlaces = 1_000_000
/** The cap on counted occurrences if only one is allowed. */
const maxCounted = 100
/** The cap on lines that are searched for a similar text. */
const maxCompared = 50_000
const maxShownChars = 2000

const input: z.ZodType<EditFileInput> = z.object({
  path,
  oldText: z
    .string()
    .min(1)
    .describe(
      'The exact text to replace, white space included. It must occur exactly once, unless replaceAll is true.',
    ),
  newText: z.string().describe('The text to put in its place.'),
  replaceAll: z.boolean().optional().describe('Replace every occurrence. Default false.'),
})

const output: z.ZodType<EditFileData> = z.looseObject({
  path: z.string(),
  count: z.number(),
  lines: z.array(z.number()),
})

/**
 * Replaces an exact text in a file.
 *
 * @example
 * ```ts
 * import { editFile } from '@theazo/core/tools'
 *
 * const edit = { path: 'app.py', oldText: 'DEBUG = True', newText: 'DEBUG = False' }
 * const { text } = await editFile.run(edit, { sandbox: agent })
 * ```
 */
export const editFile: Tool<'edit_file', EditFileInput, EditFileData> = defineTool({
  name: 'edit_file',
  title: 'Edit file',
  description:
    'Replace a piece of text in a file of the sandbox. oldText must match exactly and occur only once ' +
    '(include surrounding lines to make it unique), unless replaceAll is true.',
  input,
  output,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  async run({ path: given, oldText, newText, replaceAll = false }, { sandbox, signal }) {
    const path = toolPath(given)
    if (oldText === newText) throw new ToolInputError('oldText and newText are the same: nothing would change.')
    const files = filesOf(sandbox)
    const text = decoded(await files.read(path, { signal, maxBytes }), path)
    // A model writes \n. In a file with \r\n everywhere, it means \r\n.
    const hasCrlf = text.includes('\r\n') && !/(?<!\r)\n/.test(text)
    const [from, to] = [oldText, newText].map((part) => (hasCrlf ? part.replaceAll(/\r?\n/g, '\r\n') : part)) as [
      string,
      string,
    ]
    // Overlapping occurrences count as several, unless all are replaced.
    const places = occurrences(text, from, !replaceAll, replaceAll ? maxPlaces : maxCounted)
    const count = places.length
    if (count === 0) throw new ToolInputError(notFound(path, text, from))
    const lines = linesOf(text, places)
    if (count > 1 && !replaceAll) {
      const times = count === maxCounted ? `${count} times or more` : `${count} times`
      throw new ToolInputError(
        `oldText occurs in ${path} ${times}, at lines ${lines.slice(0, 10).join(', ')}${lines.length > 10 ? ', …' : ''}. ` +
          'Include more of the surrounding lines, or set replaceAll.',
      )
    }
    const newChars = text.length + count * (to.length - from.length)
    if (count === maxPlaces || newChars > maxBytes) {
      throw new ToolInputError(`The edit of ${path} is too large for this tool. Do it with run_code.`)
    }
    await files.write(path, replaced(text, places, from.length, to), { signal })
    return { path, count, lines: lines.slice(0, maxLines) }
  },
  toText({ path, count, lines }) {
    const more = lines.length === maxLines ? ', …' : ''
    const places = count === 1 ? '' : `${count} places of `
    return `Edited ${places}${path} at line${lines.length === 1 ? '' : 's'} ${lines.join(', ')}${more}.`
  },
})

function replaced(text: string, places: readonly number[], length: number, to: string): string {
  const parts: string[] = []
  let at = 0
  for (const place of places) {
    parts.push(text.slice(at, place))
    at = place + length
  }
  return [...parts, text.slice(at)].join(to)
}

function decoded(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new ToolInputError(`${path} is not UTF-8 text. Change it with run_code.`)
  }
}

/** The 1-based line numbers of ascending places, without duplicates, in one pass over the text. */
function linesOf(text: string, places: readonly number[]): number[] {
  const lines: number[] = []
  let [line, at] = [1, text.indexOf('\n')]
  for (const place of places) {
    for (; at !== -1 && at < place; at = text.indexOf('\n', at + 1)) line += 1
    if (lines.at(-1) !== line) lines.push(line)
  }
  return lines
}

/** Explains why a text was not found. The usual reasons are different white space and a file that has changed. */
function notFound(path: string, text: string, part: string): string {
  const wanted = part.split('\n').map(normalized).filter(Boolean)
  const lines = text.split('\n', maxCompared)
  const first = wanted[0]
  const near = first ? lines.findIndex((line) => normalized(line) === first) : -1
  if (near === -1) return `oldText does not occur in ${path}. Read the file again: it may have changed.`
  const found = lines.slice(near, near + wanted.length).join('\n')
  const why = wanted.every((line, index) => normalized(lines[near + index] ?? '') === line)
    ? 'with other white space'
    : 'in another form'
  return `oldText does not occur in ${path} exactly, but ${why} at line ${near + 1}:\n${truncate(found, maxShownChars)}`
}

/** The line without differences in white space. */
function normalized(line: string): string {
  return line.trim().replaceAll(/\s+/g, ' ')
}
