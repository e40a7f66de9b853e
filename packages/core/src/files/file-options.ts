import type { CallOptions } from '../transport/transport-options.ts'
import type { ExecResult, Language } from '../wire.ts'

/** What file operations run in. */
export interface FileHost {
  exec(
    lang: Language,
    code: string,
    options?: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined; stdin?: Uint8Array | undefined },
  ): Promise<ExecResult>
}

/** How files are moved. */
export interface SandboxFilesOptions {
  /** True where code may be megabytes long; a server that gives it as an argument takes 128 KiB. Default: it may not. */
  hasLargeCode?: () => boolean
  /** True where exec takes standard input (extension `exec-stdin`): content goes by that, and not in code. Default false. */
  hasStdin?: () => boolean
}

/** What is at a path. */
export interface FileEntry {
  /** Absolute. */
  path: string
  /** In a list: relative to the folder that was listed. */
  name: string
  /** Of the link itself, where it is one. */
  type: 'file' | 'directory' | 'symlink' | 'other'
  sizeBytes: number
  modifiedAt: Date
  /** Permission bits, e.g. 0o644. */
  mode: number
}

/** Which entries of a folder are listed. */
export interface ListFilesOptions extends FileOptions {
  /** Folders within too; links are not followed. Default false. */
  isRecursive?: boolean | undefined
  /** At most so many, by name. Default: all, and an error above 10,000. */
  limit?: number | undefined
}

/** What an operation on files may be given. */
export interface FileOptions extends Pick<CallOptions, 'signal'> {
  /** Deadline of the whole operation in milliseconds. Default: each exec that it takes has its own. */
  timeoutMs?: number | undefined
}

/** What is removed. */
export interface RemoveFileOptions extends FileOptions {
  /** A folder with all that is in it. Default false. */
  isRecursive?: boolean | undefined
}

/** How a file is read. */
export interface ReadFileOptions extends FileOptions {
  /** A larger file is refused and not moved. Default 100 MiB, which is also the most. */
  maxBytes?: number | undefined
}
