import { z } from 'zod/v4'
import { defineTool, type Tool } from './define-tool.ts'
import { filesOf, sizeText } from './files-of.ts'
import { path } from './schemas.ts'
import { toolPath } from './tool-path.ts'

/** Input of `write_file`. */
export interface WriteFileInput {
  path: string
  content: string
}

/** Data of `write_file`. */
export interface WriteFileData {
  path: string
  sizeBytes: number
}

const input: z.ZodType<WriteFileInput> = z.object({
  path,
  content: z.string().describe('The whole content of the file, as UTF-8 text.'),
})

const output: z.ZodType<WriteFileData> = z.object({ path: z.string(), sizeBytes: z.number() }).passthrough()

/**
 * Writes a whole text file.
 *
 * @example
 * ```ts
 * import { writeFile } from '@theazo/core/tools'
 *
 * const { text } = await writeFile.run({ path: 'notes.md', content: '# Notes\n' }, { sandbox: agent })
 * ```
 */
export const writeFile: Tool<'write_file', WriteFileInput, WriteFileData> = defineTool({
  name: 'write_file',
  title: 'Write file',
  description:
    'Write a whole text file in the sandbox. An existing file is replaced, and missing folders are created. ' +
    'To change a part of a file use edit_file.',
  input,
  output,
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  async run({ path: given, content }, { sandbox, signal }) {
    const path = toolPath(given)
    const bytes = new TextEncoder().encode(content)
    await filesOf(sandbox).write(path, bytes, { signal })
    return { path, sizeBytes: bytes.length }
  },
  toText: ({ path, sizeBytes }) => `Wrote ${path} (${sizeText(sizeBytes)}).`,
})
