import { z } from 'zod/v4'
import { defineTool, type Tool } from './define-tool.ts'
import { filesOf, nameText, sizeText } from './files-of.ts'
import { toolPath } from './tool-path.ts'

/** Input of `list_files`. */
export interface ListFilesInput {
  path?: string | undefined
  recursive?: boolean | undefined
}

/** Data of `list_files`. */
export interface ListFilesData {
  path: string
  entries: { name: string; type: string; sizeBytes: number; modifiedAt: string }[]
  /** True if there are more entries than those listed. */
  isTruncated: boolean
}

const maxEntries = 500
/** The cap on the characters of all names together: one name may have 4,000. */
const maxChars = 30_000

const input: z.ZodType<ListFilesInput> = z.object({
  path: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe('Path of the folder. Relative paths start at /workspace, which is the default.'),
  recursive: z.boolean().optional().describe('List nested folders too. Default false.'),
})

const output: z.ZodType<ListFilesData> = z
  .object({
    path: z.string(),
    entries: z.array(
      z.object({ name: z.string(), type: z.string(), sizeBytes: z.number(), modifiedAt: z.string() }).passthrough(),
    ),
    isTruncated: z.boolean(),
  })
  .passthrough()

/**
 * Lists a folder.
 *
 * @example
 * ```ts
 * import { listFiles } from '@theazo/core/tools'
 *
 * const { text } = await listFiles.run({ path: 'data', recursive: true }, { sandbox: agent })
 * ```
 */
export const listFiles: Tool<'list_files', ListFilesInput, ListFilesData> = defineTool({
  name: 'list_files',
  title: 'List files',
  description: `List files and folders of the sandbox with their sizes, at most ${maxEntries}.`,
  input,
  output,
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  async run({ path: given = '/workspace', recursive = false }, { sandbox, signal }) {
    const path = toolPath(given)
    const found = await filesOf(sandbox).list(path, { isRecursive: recursive, limit: maxEntries + 1, signal })
    let chars = 0
    const fitting = found.slice(0, maxEntries).filter(({ name }) => (chars += name.length) <= maxChars)
    const entries = fitting.map(({ name, type, sizeBytes, modifiedAt }) => {
      return { name, type, sizeBytes, modifiedAt: modifiedAt.toISOString() }
    })
    return { path, entries, isTruncated: found.length > entries.length }
  },
  toText({ path, entries, isTruncated }) {
    if (entries.length === 0) return `${path} is empty.`
    const lines = entries.map(({ name: given, type, sizeBytes }) => {
      const name = nameText(given)
      if (type === 'file') return `${name} (${sizeText(sizeBytes)})`
      return type === 'directory' ? `${name}/` : `${name} (${type})`
    })
    return [
      ...lines,
      ...(isTruncated ? [`[only the first ${entries.length} are listed; list a nested folder, or use run_code]`] : []),
    ].join('\n')
  },
})
