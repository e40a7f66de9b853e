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
import { fileProgram, type FileRequest, fileResult } from './files-program.ts'

/** The largest file that can be read or written. */
const maxFileBytes = 100 * 1024 * 1024
/** Bytes that one exec reads. As base64 they fit into the 10 MiB of its output. */
const readChunkBytes = 6 * 1024 * 1024
/** Bytes that one exec writes. As base64 in the code they fit into the 128 KiB of one argument. */
const writeChunkBytes = 72 * 1024
/** Bytes that one exec writes if the server passes code in a file. A request may have 10 MiB. */
const largeWriteChunkBytes = 4 * 1024 * 1024
/** Bytes that one exec writes if they are sent as standard input. They are base64 in the request, but not in the code. */
const stdinChunkBytes = 7 * 1024 * 1024
const maxEntries = 10_000
/** Characters of JSON in one page of a list, far below the 10 MiB of an exec's output. */
const maxListChars = 4_000_000

/** The implementation of {@link SandboxFiles}, which documents the operations. */
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
    interface Chunk {
      sizeBytes: number
      version: string
      data: string
    }
    const readAt = (offset: number): Promise<Chunk> =>
      this.#call<Chunk>({ op: 'read', path, offset, length: readChunkBytes, limit: maxBytes }, signal)
    const first = await readAt(0)
    if (first.sizeBytes > maxBytes) {
      throw fileError('file_too_large', `${path} has ${first.sizeBytes} bytes; the limit is ${maxBytes}.`, path)
    }
    const head = fromBase64(first.data)
    // A short chunk is the whole file, even if the reported size is different (/proc, a growing file).
    if (head.length < readChunkBytes || head.length >= first.sizeBytes) return head
    const bytes = new Uint8Array(first.sizeBytes)
    bytes.set(head)
    for (let at = head.length; at < bytes.length;) {
      const { version, data } = await readAt(at)
      const chunk = fromBase64(data)
      if (version !== first.version || chunk.length === 0) {
        throw fileError('file_changed', `${path} was written while it was read. Read it again.`, path)
      }
      bytes.set(chunk, at)
      at += chunk.length
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
    // Small content is part of the code even if the server accepts standard input: that saves a pipe.
    const send = (request: FileRequest, bytes: Uint8Array): Promise<void> =>
      hasStdin && bytes.length > writeChunkBytes
        ? this.#call(request, signal, bytes)
        : this.#call({ ...request, data: toBase64(bytes) }, signal)
    let sizeBytes = 0
    let hasStarted = false
    try {
      let previous: Uint8Array | undefined
      // Each chunk is sent only after the next one has arrived: a file of a single chunk is then written by one exec.
      for await (const chunk of equalChunks(text, `The content of ${path}`, chunkBytes, signal)) {
        if (previous) {
          hasStarted = true
          await send({ op: 'append', path, to, offset: sizeBytes }, previous)
          sizeBytes += previous.length
        }
        previous = chunk
        assertSize(path, sizeBytes + previous.length)
      }
      const last = previous ?? new Uint8Array()
      if (!hasStarted) {
        hasStarted = true
        return await send({ op: 'write', path, to }, last)
      }
      await send({ op: 'append', path, to, offset: sizeBytes }, last)
      await this.#call({ op: 'commit', path, to }, signal)
    } catch (error) {
      if (!hasStarted) throw error
      // Remove the incomplete temporary file. This may fail if the sandbox is gone, and then the file is gone too.
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
    // A page has as many entries as fit into the output of an exec. The next page begins after its last entry.
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
    const mark = `theazo-file:${crypto.randomUUID()}:` // not `theazo:`, which starts a directive for test keys
    const run = await this.#host.exec('python', fileProgram(request, mark), { signal, ...(stdin && { stdin }) })
    const result = fileResult(run.stdout, mark)
    const { op, path } = request
    if (!result) {
      const reason = run.stderr.trim().slice(-500) || `exit code ${run.exitCode}`
      throw fileError('file_error', `${op} of ${path} failed without a result: ${reason}`, path)
    }
    if ('value' in result) return result.value as Value // trusted: our own program wrote it
    const { errno, message } = result
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

/** An entry as the program returns it: without a path, and with the time in milliseconds since the epoch. */
type RawEntry = Omit<FileEntry, 'modifiedAt' | 'path'> & { modifiedAt: number }

/** One page of a list. */
interface ListPage {
  /** The absolute path of the folder. */
  folder: string
  entries: RawEntry[]
  /** Why the page ends: the list is complete, the limit is reached, or the page has its maximum size. */
  more: 'none' | 'limit' | 'size'
}

function toEntry(raw: RawEntry, folder: string): FileEntry {
  const path = `${folder === '/' ? '' : folder}/${raw.name}`
  return { ...raw, path, modifiedAt: new Date(raw.modifiedAt) }
}

/** Splits content into chunks of one size. The last one may be smaller. */
async function* equalChunks(
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
  throw fileError('file_invalid_path', 'A path must not be empty or contain a NUL character.', path)
}

function assertSize(path: string, sizeBytes: number): void {
  if (sizeBytes <= maxFileBytes) return
  throw fileError('file_too_large', `${path}: the content has ${sizeBytes} bytes; the limit is ${maxFileBytes}.`, path)
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
