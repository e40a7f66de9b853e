import { z } from 'zod'
import { toBase64 } from '../exec.ts'
import { defineTool, type Tool, ToolInputError } from './define-tool.ts'
import { filesOf, imageType, maxImageBytes, type Pictures, sizeText } from './files-of.ts'
import { image, path } from './schemas.ts'
import { truncate } from './truncate.ts'

/** What the model gives `read_file`. */
export interface ReadFileInput {
  path: string
  startLine?: number | undefined
  lineCount?: number | undefined
}

/** What `read_file` gives programs. */
export interface ReadFileData extends Pictures {
  path: string
  sizeBytes: number
  /** The lines that were asked for, with their line ends; absent for a picture and for binary content. */
  text?: string
  /** 1-based, of `text`. */
  startLine?: number
  endLine?: number
  totalLines?: number
}

const maxLines = 2000
const maxChars = 30_000
const maxBytes = 10 * 1024 * 1024

const input: z.ZodType<ReadFileInput> = z.object({
  path,
  startLine: z.number().int().min(1).max(10_000_000).optional().describe('First line, from 1. Default 1.'),
  lineCount: z
    .number()
    .int()
    .min(1)
    .max(maxLines)
    .optional()
    .describe(`Lines to read; at most and by default ${maxLines}.`),
})

const output: z.ZodType<ReadFileData> = z
  .object({
    path: z.string(),
    sizeBytes: z.number(),
    text: z.string().optional(),
    startLine: z.number().optional(),
    endLine: z.number().optional(),
    totalLines: z.number().optional(),
    images: z.array(image).optional(),
  })
  .passthrough() as z.ZodType<ReadFileData> // zod types an optional key as `| undefined`

/** Reads a text file by lines, or shows a picture. */
export const readFile: Tool<'read_file', ReadFileInput, ReadFileData> = defineTool({
  name: 'read_file',
  title: 'Read file',
  description:
    'Read a text file of the sandbox by lines, or look at a picture (PNG, JPEG, GIF, WebP). ' +
    'A long file is given in parts: go on with startLine.',
  input,
  output,
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  async run({ path, startLine: wantedLine, lineCount: wantedCount }, { sandbox, signal }) {
    // Models ignore bounds now and then, and not every framework validates: clamp.
    const startLine = Math.max(1, Math.floor(wantedLine ?? 1) || 1)
    const lineCount = Math.min(Math.max(1, Math.floor(wantedCount ?? maxLines) || maxLines), maxLines)
    const bytes = await filesOf(sandbox).read(path, { signal, maxBytes })
    const sizeBytes = bytes.length
    const mediaType = imageType(bytes)
    if (mediaType && sizeBytes <= maxImageBytes) {
      return { path, sizeBytes, images: [{ path, mediaType, base64: toBase64(bytes) }] }
    }
    if (mediaType || bytes.subarray(0, 8192).includes(0)) return { path, sizeBytes }
    const lines = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).split(/(?<=\n)/)
    const totalLines = sizeBytes === 0 ? 0 : lines.length
    if (startLine > Math.max(totalLines, 1)) {
      throw new ToolInputError(`${path} has ${totalLines} lines; startLine ${startLine} is beyond its end.`)
    }
    const wanted = lines.slice(startLine - 1, startLine - 1 + lineCount)
    let chars = 0
    const fitting = wanted.filter((line, index) => (chars += line.length) <= maxChars || index === 0)
    const endLine = totalLines === 0 ? 0 : startLine - 1 + fitting.length
    return { path, sizeBytes, text: truncate(fitting.join(''), maxChars), startLine, endLine, totalLines }
  },
  toImages: ({ images }) => images ?? [],
  toText({ path, sizeBytes, text, startLine, endLine, totalLines = 0, images }) {
    if (images) return `${path}: a picture of ${sizeText(sizeBytes)}.`
    if (text === undefined) return `${path} is not text (${sizeText(sizeBytes)}). Use run_code to look into it.`
    if (totalLines === 0) return `${path} is empty.`
    if (startLine === 1 && endLine === totalLines) return text
    const more = endLine === totalLines ? '' : ` Go on with startLine ${(endLine ?? 0) + 1}.`
    return `${text.replace(/\n$/, '')}\n[lines ${startLine} to ${endLine} of ${totalLines}.${more}]`
  },
})
