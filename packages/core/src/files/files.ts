import type { ByteContent, StreamContent } from './byte-content.ts'
import { FileError } from '../errors.ts'
import type { FileOperations } from './file-operations.ts'
import type {
  FileEntry,
  FileHost,
  FileOptions,
  ListFilesOptions,
  ReadFileOptions,
  RemoveFileOptions,
  SandboxFilesOptions,
} from './file-options.ts'
import { withinTime } from '../transport/lifetime.ts'

/**
 * The files of a sandbox, worked on by exec inside it: the API has no file endpoint.
 *
 * Paths are absolute or relative to `/workspace`; any legal name goes. Links are followed as the sandbox does. Every
 * operation throws a {@link FileError} where the file system refuses, and a `TimeoutError` after its `timeoutMs`. What
 * does the work is loaded when first used.
 *
 * @example
 * ```ts
 * await agent.files.write('report.csv', 'a,b\n1,2\n')
 * const text = await agent.files.readText('report.csv')
 * ```
 */
export class SandboxFiles {
  readonly #load: () => Promise<FileOperations>

  constructor(host: FileHost, options: SandboxFilesOptions = {}) {
    this.#load = async () => new (await import('./file-operations.ts')).FileOperations(host, options)
  }

  /**
   * The whole file, up to 100 MiB.
   *
   * @throws {FileError} `file_too_large`; `file_changed` where it was written while it was read in several pieces.
   */
  async read(path: string, options: ReadFileOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#do('read', path, options, (operations, given) => operations.read(path, given))
  }

  /** The whole file as UTF-8; bytes that are none become U+FFFD. */
  async readText(path: string, options: ReadFileOptions = {}): Promise<string> {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(await this.read(path, options))
  }

  /**
   * Writes the whole file, up to 100 MiB; missing folders are made. Others see the old file or the new one, never a
   * part. An existing file keeps its permissions; of a link the target is written. A stream is read as it is written.
   *
   * @throws {ConfigurationError} for a content that is neither text nor bytes nor a stream of them.
   */
  async write(path: string, content: ByteContent | StreamContent, options: FileOptions = {}): Promise<void> {
    await this.#do('write', path, options, (operations, given) => operations.write(path, content, given))
  }

  /** What is in a folder, by name. */
  async list(path = '.', options: ListFilesOptions = {}): Promise<FileEntry[]> {
    return await this.#do('list', path, options, (operations, given) => operations.list(path, given))
  }

  /** @throws {FileError} `file_not_found`. */
  async stat(path: string, options: FileOptions = {}): Promise<FileEntry> {
    return await this.#do('stat', path, options, (operations, given) => operations.stat(path, given))
  }

  /** True where there is anything at the path, a link to nothing too. */
  async exists(path: string, options: FileOptions = {}): Promise<boolean> {
    try {
      await this.stat(path, options)
      return true
    } catch (error) {
      const isMissing = FileError.isInstance(error) && /^file_not_(found|a_directory)$/.test(error.code)
      if (isMissing) return false
      throw error
    }
  }

  /** Removes a file, a link itself, an empty folder, or with `isRecursive` a folder and all in it. */
  async remove(path: string, options: RemoveFileOptions = {}): Promise<void> {
    await this.#do('remove', path, options, (operations, given) => operations.remove(path, given))
  }

  /** Makes a folder and those it is in; one that is there is fine. */
  async mkdir(path: string, options: FileOptions = {}): Promise<void> {
    await this.#do('mkdir', path, options, (operations, given) => operations.mkdir(path, given))
  }

  /** Moves a file or a folder, over a file that is at the new path. */
  async rename(from: string, to: string, options: FileOptions = {}): Promise<void> {
    await this.#do('rename', from, options, (operations, given) => operations.rename(from, to, given))
  }

  async #do<Options extends FileOptions, Value>(
    op: string,
    path: string,
    options: Options,
    work: (operations: FileOperations, given: Options) => Promise<Value>,
  ): Promise<Value> {
    const { timeoutMs } = options
    const late = `${op} of ${path} was not done within ${timeoutMs} ms.`
    return await withinTime({ signal: options.signal, timeoutMs, late }, async (signal) => {
      return await work(await this.#load(), { ...options, signal })
    })
  }
}
