import { z } from 'zod/v4'
import { defineTool, type Tool } from './define-tool.ts'
import { filesOf, sizeText } from './files-of.ts'
import { imageInfo } from './image-info.ts'
import { LineIndex } from './line-index.ts'
import { isBlank, truncate } from './model-text.ts'
import { hiddenImages, images, path } from './schemas.ts'
import { hiddenImagesText, imageOf, isShown, type ToolImages } from './tool-images.ts'
import { ToolInputError } from './tool-input-error.ts'
import { toolPath } from './tool-path.ts'

/** Input of `read_file`. */
export interface ReadFileInput {
  path: string
  startLine?: number | undefined
  lineCount?: number | undefined
}

/** Data of `read_file`. */
export interface ReadFileData extends ToolImages {
  path: string
  sizeBytes: number
  /** The requested lines with their line ends; absent for an image and for binary content. */
  text?: string
  /** The first line of `text`, 1-based. */
  startLine?: number
  /** The last line of `text`. */
  endLine?: number
  totalLines?: number
}

const maxLines = 2000
const maxChars = 30_000
const maxBytes = 10 * 1024 * 1024

const input: z.ZodType<ReadFileInput> = z.object({
  path,
  startLine: z.number().int().min(1).max(10_000_000).optional().describe('First line, 1 or more. Default 1.'),
  lineCount: z
    .number()
    .int()
    .min(1)
    .max(maxLines)
    .optional()
    .describe(`Lines to read, 1 to ${maxLines}. Default ${maxLines}.`),
})

const output: z.ZodType<ReadFileData> = z
  .object({
    path: z.string(),
    sizeBytes: z.number(),
    text: z.string().optional(),
    startLine: z.number().optional(),
    endLine: z.number().optional(),
    totalLines: z.number().optional(),
    images,
    hiddenImages,
  })
  .passthrough() as z.ZodType<ReadFileData> // zod types an optional key as `| undefined`

/**
 * Reads lines of a text file, or an image.
 *
 * @example
 * ```ts
 * import { readFile } from '@theazo/core/tools'
 *
 * const { text } = await readFile.run({ path: 'build.log', startLine: 1, lineCount: 100 }, { sandbox: agent })
 * ```
 */
export const readFile: Tool<'read_file', ReadFileInput, ReadFileData> = defineTool({
  name: 'read_file',
  title: 'Read file',
  description:
    'Read a text file of the sandbox by lines, or look at an image (PNG, JPEG, GIF, WebP). ' +
    'A long file is returned in parts: continue with startLine.',
  input,
  output,
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  async run(
    { path: given, startLine = 1, lineCount = maxLines },
    { sandbox, signal, imagesOff },
  ): Promise<ReadFileData> {
    const path = toolPath(given)
    const bytes = await filesOf(sandbox).read(path, { signal, maxBytes })
    const sizeBytes = bytes.length
    if (imageInfo(bytes) && isBinary(bytes)) {
      const image = await imageOf(path, bytes, imagesOff)
      return { path, sizeBytes, ...(isShown(image) ? { images: [image] } : { hiddenImages: [image] }) }
    }
    if (isBinary(bytes)) return { path, sizeBytes }
    const lines = new LineIndex(bytes)
    const totalLines = lines.count
    if (startLine > Math.max(totalLines, 1)) {
      throw new ToolInputError(`${path} has ${totalLines} lines; startLine ${startLine} is beyond its end.`)
    }
    const { text, endLine } = lines.read(startLine, lineCount, maxChars)
    return { path, sizeBytes, text: truncate(text, maxChars), startLine, endLine, totalLines }
  },
  toImages: ({ images }) => images ?? [],
  toText({ path, sizeBytes, text, startLine, endLine, totalLines = 0, images, hiddenImages = [] }) {
    const image = images?.[0]
    if (image) return `${path}: an image of ${image.width}×${image.height} pixels (${sizeText(sizeBytes)}).`
    if (hiddenImages.length > 0) return hiddenImagesText(hiddenImages)
    if (text === undefined) return `${path} is not text (${sizeText(sizeBytes)}). Use run_code to inspect it.`
    if (totalLines === 0) return `${path} is empty.`
    if (isBlank(text)) return `${path} has only white space in lines ${startLine} to ${endLine} of ${totalLines}.`
    if (startLine === 1 && endLine === totalLines) return text
    const more = endLine === totalLines ? '' : ` Continue with startLine ${(endLine ?? 0) + 1}.`
    return `${text.replace(/\n$/, '')}\n[lines ${startLine} to ${endLine} of ${totalLines}.${more}]`
  },
})

/**
 * True if there is a NUL near the start (git's rule), or if the first byte is that of a JPEG or a PNG, which is never
 * valid UTF-8.
 */
function isBinary(bytes: Uint8Array): boolean {
  const head = bytes.subarray(0, 8192)
  return head.includes(0) || head[0] === 0xff || head[0] === 0x89
}
