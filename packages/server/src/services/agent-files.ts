import { isUtf8 } from 'node:buffer'
import { posix } from 'node:path'
import {
  type AgentFileContent,
  type AgentFileEntry,
  FileError,
  type FileErrorCode,
  SandboxFiles,
  type WriteAgentFileBody,
} from '@theazo/core'
import { ApiError } from '../errors.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { Execs } from './execs.ts'
import type { OutputHold } from './output-budget.ts'

/** Bytes of the largest file that is read at once. */
const maxReadBytes = 10 * 1024 * 1024

/** Folders that last as long as the agent (contract, Agents). The first one is what `/` names. */
const folders = ['/workspace', '/home/agent'] as const

/** Whose files, and who asks. */
export interface FileCaller {
  principal: Principal
  agentId: string
  /** Fires when the caller is gone. */
  signal: AbortSignal
  /** Room for what is read, which the caller gives back. */
  hold: OutputHold
}

/**
 * Files of agents for the official SDK: each operation is an exec in the sandbox, as the client of this repository makes
 * it, and is refused where an exec is. On test keys a folder is empty, and so is a file.
 *
 * Every method throws what an exec does, and 404 where nothing is at the path, 422 where the path cannot be meant.
 */
export class AgentFiles {
  readonly #execs: Execs

  constructor(execs: Execs) {
    this.#execs = execs
  }

  /** Room for what one caller reads. */
  holdOutput(principal: Principal): OutputHold {
    return this.#execs.holdOutput(principal)
  }

  async list(caller: FileCaller, dir: string): Promise<AgentFileEntry[]> {
    return await this.#call(caller, 'dir', [], async (files) => {
      const entries = await files.list(placeOf(dir))
      return entries.map(({ name, sizeBytes, modifiedAt }) => {
        return { name, size: sizeBytes, modified: modifiedAt.toISOString() }
      })
    })
  }

  async read(caller: FileCaller, path: string): Promise<AgentFileContent> {
    return await this.#call(caller, 'path', { data: '', encoding: 'utf-8' }, async (files) => {
      const { buffer, byteOffset, length } = await files.read(placeOf(path), { maxBytes: maxReadBytes })
      const bytes = Buffer.from(buffer, byteOffset, length)
      const encoding = isUtf8(bytes) ? 'utf-8' : 'base64'
      return { data: bytes.toString(encoding), encoding }
    })
  }

  async write(caller: FileCaller, { path, data, encoding = 'utf-8' }: WriteAgentFileBody): Promise<void> {
    await this.#call(caller, 'path', undefined, (files) => files.write(placeOf(path), Buffer.from(data, encoding)))
  }

  async #call<Value>(
    { principal, agentId, signal: gone, hold }: FileCaller,
    field: 'dir' | 'path',
    mocked: Value,
    work: (files: SandboxFiles) => Promise<Value>,
  ): Promise<Value> {
    const files = new SandboxFiles(
      {
        exec: (lang, code, { signal = gone, stdin } = {}) => {
          const body = { lang, code, ...(stdin && { stdin: { base64: Buffer.from(stdin).toString('base64') } }) }
          return this.#execs.exec(principal, agentId, body, { signal, hold })
        },
      },
      { hasStdin: () => true },
    )
    try {
      if (principal.mode === 'live') return await work(files)
      // Nothing runs on a mock; what an exec is refused for is asked all the same.
      await this.#execs.exec(principal, agentId, { lang: 'bash', code: '' }, { signal: gone, hold })
      return mocked
    } catch (error) {
      throw FileError.isInstance(error) ? asApiError(error, field) : error
    }
  }
}

/**
 * Where in the sandbox a path is. The SDK sends paths with and without their first slash, so both are from `/workspace`;
 * what begins with the name of a folder that lasts, as exec's `files` have it, is that very path. `..` leads no higher.
 */
function placeOf(path: string): string {
  const place = posix.normalize(`/${path}`)
  if (folders.some((folder) => `${place}/`.startsWith(`${folder}/`))) return place
  return posix.join(folders[0], place)
}

const invalidCodes: ReadonlySet<string> = new Set<FileErrorCode>([
  'file_is_a_directory',
  'file_not_a_directory',
  'file_permission_denied',
  'file_too_large',
  'file_invalid_path',
])

/** What the sandbox's file system refuses; what is left, a full disk for one, is the agent's present state. */
function asApiError(error: FileError, field: string): ApiError {
  const { code, message } = error
  if (code === 'file_not_found') return new ApiError('not_found', message, { cause: error })
  if (invalidCodes.has(code)) return ApiError.invalid({ [field]: [message] })
  return new ApiError('conflict', message, { cause: error })
}
