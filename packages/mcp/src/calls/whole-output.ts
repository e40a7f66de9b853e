import { randomUUID } from 'node:crypto'
import { filesOf, type ToolSandbox } from '@theazo/core/tools'

/** A file in a sandbox with the output of a call that was too long for its answers. */
export interface SavedOutput {
  path: string
  sizeBytes: number
  /** True if the output had more bytes than the file. */
  isCut: boolean
}

type StreamName = 'stdout' | 'stderr'

/** The size of a file that can still be read as a resource. */
const maxBytes = 4_000_000
/** Outside /workspace, whose new files are listed in results. */
const folder = '/home/agent/.theazo'

/** The output streams of a call from their start, up to 4 MB each. */
export class WholeOutput {
  readonly #streams: Record<StreamName, Stream> = { stdout: new Stream(), stderr: new Stream() }

  add(name: StreamName, chunk: string): void {
    this.#streams[name].add(chunk)
  }

  /** Saves the named streams in the sandbox. */
  async save(sandbox: ToolSandbox, names: readonly StreamName[], signal: AbortSignal): Promise<SavedOutput[]> {
    const files = filesOf(sandbox)
    const callName = randomUUID().slice(0, 8)
    const saved: SavedOutput[] = []
    for (const name of names) {
      const { text, sizeBytes, isCut } = this.#streams[name]
      const path = `${folder}/${callName}-${name}.txt`
      await files.write(path, text, { signal })
      saved.push({ path, sizeBytes, isCut })
    }
    return saved
  }
}

class Stream {
  readonly #chunks: string[] = []
  sizeBytes = 0
  isCut = false

  get text(): string {
    return this.#chunks.join('')
  }

  add(chunk: string): void {
    if (this.isCut) return
    const room = maxBytes - this.sizeBytes
    const bytes = Buffer.from(chunk)
    this.isCut = bytes.length > room
    // The cut may split a character, which then decodes as U+FFFD.
    const kept = this.isCut
      ? bytes
          .subarray(0, room)
          .toString()
          .replace(/\uFFFD+$/, '')
      : chunk
    this.#chunks.push(kept)
    this.sizeBytes += Buffer.byteLength(kept)
  }
}
