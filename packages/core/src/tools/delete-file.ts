import { z } from 'zod/v4'
import { defineTool, type Tool } from './define-tool.ts'
import { filesOf } from './files-of.ts'
import { path } from './schemas.ts'
import { toolPath } from './tool-path.ts'

/** Input of `delete_file`. */
export interface DeleteFileInput {
  path: string
  recursive?: boolean | undefined
}

/** Data of `delete_file`. */
export interface DeleteFileData {
  path: string
}

const input: z.ZodType<DeleteFileInput> = z.object({
  path,
  recursive: z.boolean().optional().describe('Delete a folder with its content. Default false.'),
})

const output: z.ZodType<DeleteFileData> = z.object({ path: z.string() }).passthrough()

/**
 * Deletes a file or a folder.
 *
 * @example
 * ```ts
 * import { deleteFile } from '@theazo/core/tools'
 *
 * const { text } = await deleteFile.run({ path: 'data', recursive: true }, { sandbox: agent })
 * ```
 */
export const deleteFile: Tool<'delete_file', DeleteFileInput, DeleteFileData> = defineTool({
  name: 'delete_file',
  title: 'Delete file',
  description: 'Delete a file or an empty folder in the sandbox. With recursive, delete a folder and its content.',
  input,
  output,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  async run({ path: given, recursive = false }, { sandbox, signal }) {
    const path = toolPath(given)
    await filesOf(sandbox).remove(path, { isRecursive: recursive, signal })
    return { path }
  },
  toText: ({ path }) => `Deleted ${path}.`,
})
