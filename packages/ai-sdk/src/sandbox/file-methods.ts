import { Buffer } from 'node:buffer'
import { FileError } from '@theazo/core'
import type { Experimental_SandboxSession as SandboxSession } from 'ai'
import type { SandboxHost } from './sandbox-host.ts'
import { linesOf } from './lines-of.ts'
import { quoted } from './spawn-scripts.ts'
import { resolvePath } from './base-directory.ts'

type FileMethods = Omit<SandboxSession, 'description' | 'run' | 'spawn'>

/** The file methods of a session, over the file operations of core. */
export function fileMethods(agent: SandboxHost): FileMethods {
  const { files } = agent
  const read: FileMethods['readBinaryFile'] = async ({ path, abortSignal: signal }) => {
    return await ifExists(files.read(resolvePath(path), { signal }))
  }
  const write = async (path: string, content: Uint8Array | ReadableStream<Uint8Array>, signal?: AbortSignal) => {
    await files.write(resolvePath(path), content, { signal })
  }
  return {
    readBinaryFile: read,
    async readFile(options) {
      const bytes = await read(options)
      return bytes && new Blob([bytes as Uint8Array<ArrayBuffer>]).stream() // core allocates an ArrayBuffer
    },
    async readTextFile({ encoding = 'utf-8', startLine, endLine, ...options }) {
      const known = knownEncoding(encoding)
      const bytes = await read(options)
      return bytes && linesOf(Buffer.from(bytes).toString(known), startLine, endLine)
    },
    writeFile: ({ path, content, abortSignal }) => write(path, content, abortSignal),
    writeBinaryFile: ({ path, content, abortSignal }) => write(path, content, abortSignal),
    async writeTextFile({ path, content, encoding = 'utf-8', abortSignal }) {
      await write(path, Buffer.from(content, knownEncoding(encoding)), abortSignal)
    },
    async stat({ path, abortSignal: signal }) {
      const entry = await ifExists(files.stat(resolvePath(path), { signal }))
      if (!entry) return null
      const { type, sizeBytes: size } = entry
      return type === 'symlink' ? await targetStat(agent, resolvePath(path), signal) : { type, size }
    },
    async listDirectory({ path, abortSignal: signal }) {
      const entries = await ifExists(files.list(resolvePath(path), { signal }), async () => {
        return await files.exists(resolvePath(path), { signal })
      })
      return entries && entries.map(({ name, type }) => ({ name, type }))
    },
    async deleteFile({ path, abortSignal: signal }) {
      const entry = await ifExists(files.stat(resolvePath(path), { signal }))
      if (!entry) return false
      // `remove` would delete an empty directory.
      if (entry.type === 'directory') {
        throw new FileError(`${path} is a directory.`, { code: 'file_is_a_directory', details: { path } })
      }
      return (await ifExists(files.remove(resolvePath(path), { signal }).then(() => true))) ?? false
    },
  }
}

/**
 * The result, or null if the path does not exist. A path below a file does not exist either.
 *
 * @param isThere returns true if the path exists. It is called if a directory was expected, and the path is none.
 */
async function ifExists<Value>(result: Promise<Value>, isThere?: () => Promise<boolean>): Promise<Value | null> {
  try {
    return await result
  } catch (error) {
    if (!FileError.isInstance(error)) throw error
    if (error.code === 'file_not_found') return null
    if (error.code === 'file_not_a_directory' && !(await isThere?.())) return null
    throw error
  }
}

/** What a link points to. The file operations of core do not follow it. */
async function targetStat(
  agent: SandboxHost,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Awaited<ReturnType<FileMethods['stat']>>> {
  const code = '[[ -e $0 ]] || exit 0; stat -L -c "%s %F" -- "$0"'
  const { stdout } = await agent.exec('bash', `bash -c '${code}' ${quoted(path)}`, { signal })
  const [, size, kind] = /^(\d+) (.*)\n$/.exec(stdout) ?? []
  if (size === undefined) return null
  const type = kind?.startsWith('regular') ? 'file' : kind === 'directory' ? 'directory' : 'other'
  return { type, size: Number(size) }
}

/** @throws {TypeError} for an unknown encoding, which Node would read as UTF-8. */
function knownEncoding(encoding: string): BufferEncoding {
  if (Buffer.isEncoding(encoding)) return encoding
  throw new TypeError(`There is no encoding '${encoding}'.`)
}
