import type { CallOptions } from '../transport/transport-options.ts'
import type { ExecResult, Language } from '../wire.ts'

/** The sandbox that runs the file operations of {@link SandboxFiles}. */
export interface FileHost {
  exec(
    lang: Language,
    code: string,
    options?: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined; stdin?: Uint8Array | undefined },
  ): Promise<ExecResult>
}

/** Options of {@link SandboxFiles}: how content is sent to the sandbox. */
export interface SandboxFilesOptions {
  /** True if code may be megabytes long. A server that passes code as an argument accepts 128 KiB. Default: false. */
  hasLargeCode?: () => boolean
  /** True if exec accepts standard input (extension `exec-stdin`). Content is then sent there. Default: false. */
  hasStdin?: () => boolean
}

/** A file, a folder or a link. */
export interface FileEntry {
  /** Absolute. */
  path: string
  /** In a list, it is relative to the listed folder. */
  name: string
  /** Links are not followed: the type of a link is `symlink`. */
  type: 'file' | 'directory' | 'symlink' | 'other'
  sizeBytes: number
  modifiedAt: Date
  /** Permission bits, e.g. 0o644. */
  mode: number
}

/** Options of {@link SandboxFiles.list}. */
export interface ListFilesOptions extends FileOptions {
  /** Include the content of nested folders. Links are not followed. Default false. */
  isRecursive?: boolean | undefined
  /** Return only the first entries, in the order of their names. Default: all; above 10,000 it is an error. */
  limit?: number | undefined
}

/** Options of every file operation. */
export interface FileOptions extends Pick<CallOptions, 'signal'> {
  /** Deadline of the whole operation in milliseconds. Default: none; each exec of the operation has its own deadline. */
  timeoutMs?: number | undefined
}

/** Options of {@link SandboxFiles.remove}. */
export interface RemoveFileOptions extends FileOptions {
  /** Remove a folder with its content. Default false. */
  isRecursive?: boolean | undefined
}

/** Options of {@link SandboxFiles.read} and {@link SandboxFiles.readText}. */
export interface ReadFileOptions extends FileOptions {
  /** A larger file is an error, and its content is not transferred. Default 100 MiB, which is also the maximum. */
  maxBytes?: number | undefined
}
