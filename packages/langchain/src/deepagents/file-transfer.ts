import { FileError, type SandboxFiles, TheazoError } from '@theazo/core'
import { type FileDownloadResponse, type FileOperationError, type FileUploadResponse, SandboxError } from 'deepagents'

/** Most transfers at the same time: each is an exec in the sandbox. */
const maxConcurrentTransfers = 8

/** Writes each file, and creates the folders above it. Returns one response for each file, in the same order. */
export async function uploadAll(
  files: SandboxFiles,
  uploads: readonly (readonly [string, Uint8Array])[],
): Promise<FileUploadResponse[]> {
  return await mapConcurrently(uploads, async ([path, content]) => {
    const error = await fileErrorOf(path, async () => await files.write(path, content))
    return { path, error }
  })
}

/** Reads each file. Returns one response for each path, in the same order. */
export async function downloadAll(files: SandboxFiles, paths: readonly string[]): Promise<FileDownloadResponse[]> {
  return await mapConcurrently(paths, async (path) => {
    let content: Uint8Array | null = null
    const error = await fileErrorOf(path, async () => {
      content = await files.read(path)
    })
    return { path, content, error }
  })
}

/**
 * The protocol's code if the file system refuses the operation, null if it succeeds.
 *
 * @throws {SandboxError} `FILE_OPERATION_FAILED` for every other error: the protocol has no code for it.
 */
async function fileErrorOf(path: string, operation: () => Promise<unknown>): Promise<FileOperationError | null> {
  try {
    await operation()
    return null
  } catch (error) {
    const code = FileError.isInstance(error) ? fileErrors[error.code] : undefined
    if (code) return code
    if (!TheazoError.isInstance(error)) throw error
    throw new SandboxError(`${path}: ${error.message}`, 'FILE_OPERATION_FAILED', error)
  }
}

const fileErrors: Partial<Record<string, FileOperationError>> = {
  file_not_found: 'file_not_found',
  file_permission_denied: 'permission_denied',
  file_is_a_directory: 'is_directory',
  file_not_a_directory: 'invalid_path',
  file_invalid_path: 'invalid_path',
}

/** Like `Promise.all` over `map`, with at most {@link maxConcurrentTransfers} at a time. */
async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  transfer: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const queue = items.entries()
  const work = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await transfer(item)
  }
  await Promise.all(Array.from({ length: Math.min(maxConcurrentTransfers, items.length) }, work))
  return results
}
