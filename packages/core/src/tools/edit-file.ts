import { z } from 'zod/v4'
import { defineTool, type Tool } from './define-tool.ts'
import { filesOf } from './files-of.ts'
import { truncate } from './model-text.ts'
import { path } from './schemas.ts'
import { ToolInputError } from './tool-input-error.ts'
import { toolPath } from './tool-path.ts'

/** What the model gives `edit_file`. */
export interface EditFileInput {
  path: string
  oldText: string
  newText: string
  replaceAll?: boolean | undefined
}

/** What `edit_file` gives programs. */
export interface EditFileData {
  path: string
  /** Places that were changed. */
  count: number
  /** 1-based lines of the first 20 of them, as they were before. */
  lines: number[]
}

const maxBytes = 10 * 1024 * 1024
const maxLines = 20
const maxShownChars = 2000

const input: z.ZodType<EditFileInput> = z.object({
  path,
  oldText: z
    .string()
    .min(1)
    .describe('The exact text to replace, white space included; it must stand in the file once.'),
  newText: z.string().describe('The text to put in its place.'),
  replaceAll: z.boolean().optional().describe('Replace every occurrence. Default false.'),
})

const output: z.ZodType<EditFileData> = z.looseObject({
  path: z.string(),
  count: z.number(),
  lines: z.array(z.number()),
})

/** Replaces an exact text in a file. */
export const editFile: Tool<'edit_file', EditFileInput, EditFileData> = defineTool({
  name: 'edit_file',
  title: 'Edit file',
  description:
    'Replace a piece of text in a file of the sandbox. oldText must match exactly and stand in the file only once ' +
    '(give lines around it to make it so), unless replaceAll is true.',
  input,
  output,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  async run({ path: given, oldText, newText, replaceAll = false }, { sandbox, signal }) {
    const path = toolPath(given)
    if (oldText === newText) throw new ToolInputError('oldText and newText are the same: nothing would change.')
    const files = filesOf(sandbox)
    const text = decoded(await files.read(path, { signal, maxBytes }), path)
    // A model writes \n; a file that has \r\n everywhere means the same.
    const hasCrlf = text.includes('\r\n') && !/(?<!\r)\n/.test(text)
    const [from, to] = [oldText, newText].map((part) => (hasCrlf ? part.replaceAll(/\r?\n/g, '\r\n') : part)) as [
      string,
      string,
    ]
    // One that overlaps another is a second place too, where one alone is meant.
    const places = occurrences(text, from, replaceAll ? from.length : 1)
    if (places.length === 0) throw new ToolInputError(notFound(path, text, from))
    const lines = linesOf(text, places)
    if (places.length > 1 && !replaceAll) {
      throw new ToolInputError(
        `oldText stands in ${path} ${places.length} times, at lines ${lines.slice(0, 10).join(', ')}${lines.length > 10 ? ', …' : ''}. ` +
          'Give more of the lines around it, or set replaceAll.',
      )
    }
    await files.write(
      path,
      text.replaceAll(from, () => to),
      { signal },
    )
    return { path, count: places.length, lines: lines.slice(0, maxLines) }
  },
  toText({ path, count, lines }) {
    const more = count > lines.length ? `, and ${count - lines.length} more places` : ''
    return `Edited ${path} at line${lines.length === 1 ? '' : 's'} ${lines.join(', ')}${more}.`
  },
})

function decoded(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new ToolInputError(`${path} is not UTF-8 text. Change it with run_code.`)
  }
}

function occurrences(text: string, part: string, step: number): number[] {
  const places: number[] = []
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + step)) places.push(at)
  return places
}

/** 1-based, of places in their order; in one pass over the text. */
function linesOf(text: string, places: readonly number[]): number[] {
  let [line, at] = [1, text.indexOf('\n')]
  return places.map((place) => {
    for (; at !== -1 && at < place; at = text.indexOf('\n', at + 1)) line += 1
    return line
  })
}

/** Most misses are white space, or a file that has changed meanwhile. */
function notFound(path: string, text: string, part: string): string {
  const wanted = part.split('\n').map(bare).filter(Boolean)
  const lines = text.split('\n')
  const first = wanted[0]
  const near = first ? lines.findIndex((line) => bare(line) === first) : -1
  if (near === -1) return `oldText does not stand in ${path}. Read the file again: it may have changed.`
  const found = lines.slice(near, near + wanted.length).join('\n')
  const why = wanted.every((line, index) => bare(lines[near + index] ?? '') === line)
    ? 'with other white space'
    : 'in another form'
  return `oldText does not stand in ${path} exactly, but ${why} at line ${near + 1}:\n${truncate(found, maxShownChars)}`
}

function bare(line: string): string {
  return line.trim().replaceAll(/\s+/g, ' ')
}
