import { toBase64 } from './base64.ts'
import { byteChunks, knownSize } from './byte-content.ts'
import { configurationError, FileError, type FileErrorCode } from '../errors.ts'
import type {
  FileEntry,
  FileHost,
  FileOptions,
  ListFilesOptions,
  ReadFileOptions,
  RemoveFileOptions,
  SandboxFilesOptions,
} from './file-options.ts'
import { fileAnswer, fileProgram, type FileRequest } from './files-program.ts'

/** Bytes of the largest file that is read or written. */
const maxFileBytes = 100 * 1024 * 1024
/** Bytes read by one exec: as base64 they stay below the 10 MiB of its output. */
const readChunkBytes = 6 * 1024 * 1024
/** Bytes written by one exec: as base64 in the code they stay below the 128 KiB of one argument. */
const writeChunkBytes = 72 * 1024
/** The same where code goes by file; a request has 10 MiB. */
const largeWriteChunkBytes = 4 * 1024 * 1024
/** The same by standard input: as base64 in the request. Python need not parse it, which takes longest. */
const stdinChunkBytes = 7 * 1024 * 1024
const maxEntries = 10_000
/** Characters of JSON that one exec lists: far below the 10 MiB of its output. */
const maxListChars = 4_000_000

/** What {@link SandboxFiles} does; its contract stands there. */
export class FileOperations {
  readonly #host: FileHost
  readonly #hasLargeCode: () => boolean
  readonly #hasStdin: () => boolean

  constructor(host: FileHost, { hasLargeCode = () => false, hasStdin = () => false }: SandboxFilesOptions = {}) {
    this.#host = host
    this.#hasLargeCode = hasLargeCode
    this.#hasStdin = hasStdin
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

  async write(path: string, content: unknown, { signal }: FileOptions): Promise<void> {
    assertPath(path)
    const text = typeof content === 'string' ? new TextEncoder().encode(content) : content
    assertSize(path, knownSize(text))
    const to = `.theazo-${crypto.randomUUID()}`
    const hasStdin = this.#hasStdin()
    const chunkBytes = hasStdin ? stdinChunkBytes : this.#hasLargeCode() ? largeWriteChunkBytes : writeChunkBytes
    // What is small goes in the code, on every server: that is one pipe less.
    const send = (request: FileRequest, bytes: Uint8Array): Promise<void> =>
      hasStdin && bytes.length > writeChunkBytes
        ? this.#call(request, signal, bytes)
        : this.#call({ ...request, data: toBase64(bytes) }, signal)
    let sizeBytes = 0
    let isBegun = false
    try {
      let held: Uint8Array | undefined
      // One piece is held back: a file of a single piece is written by one exec.
      for await (const piece of pieces(text, `The content of ${path}`, chunkBytes, signal)) {
        if (held) {
          isBegun = true
          await send({ op: 'append', path, to, offset: sizeBytes }, held)
          sizeBytes += held.length
        }
        held = piece
        assertSize(path, sizeBytes + held.length)
      }
      const last = held ?? new Uint8Array()
      if (!isBegun) {
        isBegun = true
        return await send({ op: 'write', path, to }, last)
      }
      await send({ op: 'append', path, to, offset: sizeBytes }, last)
      await this.#call({ op: 'commit', path, to }, signal)
    } catch (error) {
      if (!isBegun) throw error
      // The half-written file is nobody's; the sandbox may be gone, and then it is too.
      await this.#call({ op: 'discard', path, to }, AbortSignal.timeout(10_000)).catch(() => {})
      throw error
    }
  }

  async list(path: string, { isRecursive = false, limit, signal }: ListFilesOptions): Promise<FileEntry[]> {
    if (limit !== undefined && !(Number.isInteger(limit) && limit >= 0)) {
      const message = `limit must be a whole number, 0 or more, not ${String(limit)}.`
      throw configurationError(message)
    }
    const maxCount = limit ?? maxEntries
    const entries: FileEntry[] = []
    // One answer holds as many entries as fit into the output of an exec; the next page begins after the last of them.
    for (let after: string | undefined; ;) {
      const request = {
        op: 'list',
        path,
        isRecursive,
        limit: maxCount - entries.length,
        maxChars: maxListChars,
      } as const
      const page = await this.#call<ListPage>({ ...request, ...(after !== undefined && { after }) }, signal)
      for (const entry of page.entries) entries.push(toEntry(entry, page.folder))
      after = page.entries.at(-1)?.name
      if (page.more === 'none') return entries
      if (page.more === 'limit' || after === undefined) {
        if (limit !== undefined) return entries
        throw fileError('file_too_large', `${path} has more than ${maxEntries} entries: pass { limit }.`, path)
      }
    }
  }

  async stat(path: string, { signal }: FileOptions): Promise<FileEntry> {
    const { folder, entry } = await this.#call<{ folder: string; entry: RawEntry }>({ op: 'stat', path }, signal)
    return { ...toEntry(entry, folder), path: folder }
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

  async #call<Value>(request: FileRequest, signal: AbortSignal | undefined, stdin?: Uint8Array): Promise<Value> {
    assertPath(request.path)
    const mark = `theazo-file:${crypto.randomUUID()}:` // `theazo:` is for directives of test keys
    const result = await this.#host.exec('python', fileProgram(request, mark), { signal, ...(stdin && { stdin }) })
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

/** As the program answers it: milliseconds since the epoch, and the name alone. */
type RawEntry = Omit<FileEntry, 'modifiedAt' | 'path'> & { modifiedAt: number }

/** Part of a list. */
interface ListPage {
  /** The folder, absolute. */
  folder: string
  entries: RawEntry[]
  /** Why the list ends here: it is complete, has as many entries as were asked for, or fills an answer. */
  more: 'none' | 'limit' | 'size'
}

function toEntry(raw: RawEntry, folder: string): FileEntry {
  const path = `${folder === '/' ? '' : folder}/${raw.name}`
  return { ...raw, path, modifiedAt: new Date(raw.modifiedAt) }
}

/** The content cut into pieces of one size; the last one is smaller. */
async function* pieces(
  content: unknown,
  what: string,
  size: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  let parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of byteChunks(content, what, signal)) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + size - length)
      parts.push(part)
      length += part.length
      at += part.length
      if (length < size) continue
      yield joined(parts, length)
      parts = []
      length = 0
    }
  }
  if (length > 0) yield joined(parts, length)
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = parts
  if (first?.length === length) return first
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function assertPath(path: string): void {
  if (path !== '' && !path.includes('\0')) return
  throw fileError('file_invalid_path', 'A path must not be empty, nor hold a NUL character.', path)
}

function assertSize(path: string, sizeBytes: number): void {
  if (sizeBytes <= maxFileBytes) return
  throw fileError('file_too_large', `${path}: ${sizeBytes} bytes are more than ${maxFileBytes}.`, path)
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
