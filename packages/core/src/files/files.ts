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
 * The files of a sandbox. Every operation runs a program in the sandbox by exec: the API has no file endpoint.
 *
 * Paths are absolute or relative to `/workspace`, and may contain any name that the file system allows. Links are followed
 * inside the sandbox. Every operation throws a {@link FileError} if the file system refuses it, and a `TimeoutError` after
 * its `timeoutMs`. The program is loaded at the first use.
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
   * Reads a whole file, up to 100 MiB.
   *
   * @throws {FileError} `file_too_large`; `file_changed` if the file was written while it was read in several chunks.
   * @example
   * ```ts
   * const png = await agent.files.read('plot.png', { maxBytes: 5_000_000 })
   * ```
   */
  async read(path: string, options: ReadFileOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#do('read', path, options, (operations, given) => operations.read(path, given))
  }

  /**
   * Reads a whole file as UTF-8 text. Invalid bytes become U+FFFD.
   *
   * @example
   * ```ts
   * const [header] = (await agent.files.readText('report.csv')).split('\n')
   * ```
   */
  async readText(path: string, options: ReadFileOptions = {}): Promise<string> {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(await this.read(path, options))
  }

  /**
   * Writes a whole file, up to 100 MiB, and creates missing folders. Other programs see the old file or the new one, never
   * a part. An existing file keeps its permissions. If the path is a link, its target is written. A stream is sent in
   * chunks as it arrives.
   *
   * @throws {ConfigurationError} if the content is not text, bytes, or a stream of them.
   * @example
   * ```ts
   * await agent.files.write('data/input.json', JSON.stringify({ rows: [1, 2] }))
   * const { body } = await fetch('https://example.com/data.parquet')
   * if (body) await agent.files.write('data/input.parquet', body)
   * ```
   */
  async write(path: string, content: ByteContent | StreamContent, options: FileOptions = {}): Promise<void> {
    await this.#do('write', path, options, (operations, given) => operations.write(path, content, given))
  }

  /**
   * Lists a folder, in the order of the names.
   *
   * @example
   * ```ts
   * for (const { name, sizeBytes } of await agent.files.list('data', { isRecursive: true })) console.log(name, sizeBytes)
   * ```
   */
  async list(path = '.', options: ListFilesOptions = {}): Promise<FileEntry[]> {
    return await this.#do('list', path, options, (operations, given) => operations.list(path, given))
  }

  /**
   * Describes a file, a folder or a link.
   *
   * @throws {FileError} `file_not_found`.
   * @example
   * ```ts
   * const { sizeBytes, modifiedAt } = await agent.files.stat('report.csv')
   * ```
   */
  async stat(path: string, options: FileOptions = {}): Promise<FileEntry> {
    return await this.#do('stat', path, options, (operations, given) => operations.stat(path, given))
  }

  /**
   * True if a file, a folder or a link exists at the path. A link counts even if its target does not exist.
   *
   * @example
   * ```ts
   * if (!(await agent.files.exists('.venv'))) await agent.exec('bash', 'python3 -m venv .venv')
   * ```
   */
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

  /**
   * Removes a file, an empty folder, or a link (not its target). With `isRecursive` it removes a folder with its content.
   *
   * @example
   * ```ts
   * await agent.files.remove('data', { isRecursive: true })
   * ```
   */
  async remove(path: string, options: RemoveFileOptions = {}): Promise<void> {
    await this.#do('remove', path, options, (operations, given) => operations.remove(path, given))
  }

  /**
   * Creates a folder and its missing parents. An existing folder is not an error.
   *
   * @example
   * ```ts
   * await agent.files.mkdir('data/2026')
   * ```
   */
  async mkdir(path: string, options: FileOptions = {}): Promise<void> {
    await this.#do('mkdir', path, options, (operations, given) => operations.mkdir(path, given))
  }

  /**
   * Moves a file or a folder. A file at the new path is replaced.
   *
   * @example
   * ```ts
   * await agent.files.rename('report.csv', 'archive/report.csv')
   * ```
   */
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
    const timeoutMessage = `${op} of ${path} was not done within ${timeoutMs} ms.`
    return await withinTime({ signal: options.signal, timeoutMs, timeoutMessage }, async (signal) => {
      return await work(await this.#load(), { ...options, signal })
    })
  }
}
