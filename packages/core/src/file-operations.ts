import { FileError, type FileErrorCode } from './errors.ts'
import { toBase64 } from './exec.ts'
import type {
  FileEntry,
  FileHost,
  FileOptions,
  ListFilesOptions,
  ReadFileOptions,
  RemoveFileOptions,
  SandboxFilesOptions,
} from './files.ts'
import { fileAnswer, fileProgram, type FileRequest } from './files-program.ts'

/** Bytes of the largest file that is read or written. */
const maxFileBytes = 100 * 1024 * 1024
/** Bytes read by one exec: as base64 they stay below the 10 MiB of its output. */
const readChunkBytes = 6 * 1024 * 1024
/** Bytes written by one exec: as base64 in the code they stay below the 128 KiB of one argument. */
const writeChunkBytes = 72 * 1024
/** The same where code goes by file; a request has 10 MiB. */
const largeWriteChunkBytes = 4 * 1024 * 1024
const maxEntries = 10_000

/** What {@link SandboxFiles} does; its contract stands there. */
export class FileOperations {
  readonly #host: FileHost
  readonly #hasLargeCode: () => boolean

  constructor(host: FileHost, { hasLargeCode = () => false }: SandboxFilesOptions = {}) {
    this.#host = host
    this.#hasLargeCode = hasLargeCode
  }

  async read(path: string, options: ReadFileOptions): Promise<Uint8Array<ArrayBuffer>> {
    const { signal } = options
    const maxBytes = Math.min(options.maxBytes ?? maxFileBytes, maxFileBytes)
    interface Piece {
      sizeBytes: number
      version: string
      data: string
    }
    const readAt = (offset: number): Promise<Piece> =>
      this.#call<Piece>({ op: 'read', path, offset, length: readChunkBytes, limit: maxBytes }, signal)
    const first = await readAt(0)
    if (first.sizeBytes > maxBytes) {
      throw fileError('file_too_large', `${path} has ${first.sizeBytes} bytes; at most ${maxBytes} are read.`, path)
    }
    const head = fromBase64(first.data)
    // Less than was asked for is all there is; what the file system tells of the size may differ (/proc, a file that grows).
    if (head.length < readChunkBytes || head.length >= first.sizeBytes) return head
    const bytes = new Uint8Array(first.sizeBytes)
    bytes.set(head)
    for (let at = head.length; at < bytes.length;) {
      const { version, data } = await readAt(at)
      const piece = fromBase64(data)
      if (version !== first.version || piece.length === 0) {
        throw fileError('file_changed', `${path} was written while it was read. Read it again.`, path)
      }
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }

  async write(path: string, content: string | Uint8Array, { signal }: FileOptions): Promise<void> {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    if (bytes.length > maxFileBytes) {
      throw fileError('file_too_large', `${path}: ${bytes.length} bytes are more than ${maxFileBytes}.`, path)
    }
    const to = `.theazo-${crypto.randomUUID()}`
    const chunkBytes = this.#hasLargeCode() ? largeWriteChunkBytes : writeChunkBytes
    try {
      if (bytes.length <= chunkBytes) return await this.#call({ op: 'write', path, to, data: toBase64(bytes) }, signal)
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        const data = toBase64(bytes.subarray(at, at + chunkBytes))
        await this.#call({ op: 'append', path, to, data, offset: at }, signal)
      }
      await this.#call({ op: 'commit', path, to }, signal)
    } catch (error) {
      if (FileError.isInstance(error) && error.code === 'file_invalid_path') throw error
      // The half-written file is nobody's; the sandbox may be gone, and then it is too.
      await this.#call({ op: 'discard', path, to }, AbortSignal.timeout(10_000)).catch(() => {})
      throw error
    }
  }

  async list(path: string, { isRecursive = false, limit, signal }: ListFilesOptions): Promise<FileEntry[]> {
    const request = { op: 'list', path, isRecursive, limit: limit ?? maxEntries } as const
    const { entries, isTruncated } = await this.#call<{ entries: RawEntry[]; isTruncated: boolean }>(request, signal)
    if (isTruncated && limit === undefined) {
      throw fileError('file_too_large', `${path} has more than ${maxEntries} entries: pass { limit }.`, path)
    }
    return entries.map(toEntry)
  }

  async stat(path: string, { signal }: FileOptions): Promise<FileEntry> {
    return toEntry(await this.#call<RawEntry>({ op: 'stat', path }, signal))
  }

  async remove(path: string, { isRecursive = false, signal }: RemoveFileOptions): Promise<void> {
    await this.#call({ op: 'remove', path, isRecursive }, signal)
  }

  async mkdir(path: string, { signal }: FileOptions): Promise<void> {
    await this.#call({ op: 'mkdir', path }, signal)
  }

  async rename(from: string, to: string, { signal }: FileOptions): Promise<void> {
    assertPath(to)
    await this.#call({ op: 'rename', path: from, to }, signal)
  }

  async #call<Value>(request: FileRequest, signal: AbortSignal | undefined): Promise<Value> {
    assertPath(request.path)
    const mark = `theazo:${crypto.randomUUID()}:`
    const result = await this.#host.exec('python', fileProgram(request, mark), { signal })
    const answer = fileAnswer(result.stdout, mark)
    const { op, path } = request
    if (!answer) {
      const said = result.stderr.trim().slice(-500) || `exit code ${result.exitCode}`
      throw fileError('file_error', `${op} of ${path} did not end: ${said}`, path)
    }
    if ('value' in answer) return answer.value as Value // our own program's, by its operation
    const { errno, message } = answer
    throw fileError(codeByErrno[errno] ?? 'file_error', `${op} of ${path}: ${message} (${errno})`, path)
  }
}

const codeByErrno: Record<string, FileErrorCode> = {
  ENOENT: 'file_not_found',
  EEXIST: 'file_exists',
  ENOTEMPTY: 'file_exists',
  EISDIR: 'file_is_a_directory',
  ENOTDIR: 'file_not_a_directory',
  EACCES: 'file_permission_denied',
  EPERM: 'file_permission_denied',
  EROFS: 'file_permission_denied',
  EFBIG: 'file_too_large',
  ENAMETOOLONG: 'file_invalid_path',
  EILSEQ: 'file_invalid_path',
}

/** As the program tells it. */
type RawEntry = Omit<FileEntry, 'modifiedAt'> & { modifiedAt: number }

function toEntry(raw: RawEntry): FileEntry {
  return { ...raw, modifiedAt: new Date(raw.modifiedAt) }
}

function assertPath(path: string): void {
  if (path !== '' && !path.includes('\0')) return
  throw fileError('file_invalid_path', 'A path must not be empty, nor hold a NUL character.', path)
}

function fileError(code: FileErrorCode, message: string, path: string): FileError {
  return new FileError(message, { code, details: { path } })
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index)
  return bytes
}
