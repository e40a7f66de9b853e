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

/** Maximum size of a file that can be read. */
const maxReadBytes = 10 * 1024 * 1024

/** Folders that exist as long as the agent (contract, Agents). `/` stands for the first one. */
const folders = ['/workspace', '/home/agent'] as const

/** The caller of a file operation, and the agent that has the files. */
export interface FileCaller {
  principal: Principal
  agentId: string
  /** Fires when the caller is gone. */
  signal: AbortSignal
  /** Reserves memory for the content; the caller releases it. */
  hold: OutputHold
}

/**
 * Files of agents for the official SDK. Each operation is an exec in the sandbox, with the same code as in this
 * repository's client, and is refused if an exec would be. For test keys, folders and files are empty.
 *
 * Every method throws the errors of an exec, 404 if nothing exists at the path, and 422 if the path is invalid.
 */
export class AgentFiles {
  readonly #execs: Execs

  constructor(execs: Execs) {
    this.#execs = execs
  }

  /** Reserves memory for the content that one caller reads. */
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
      // Nothing runs on a mock, but the checks of an exec still apply.
      await this.#execs.exec(principal, agentId, { lang: 'bash', code: '' }, { signal: gone, hold })
      return mocked
    } catch (error) {
      throw FileError.isInstance(error) ? asApiError(error, field) : error
    }
  }
}

/**
 * The absolute path in the sandbox. The SDK sends paths with and without a first slash; both are relative to `/workspace`.
 * A path in `/workspace` or `/home/agent`, as in exec's `files`, stays unchanged. `..` cannot leave the root.
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

/** Turns a file error into an API error. Errors that are not the request's fault, e.g. a full disk, are conflicts. */
function asApiError(error: FileError, field: string): ApiError {
  const { code, message } = error
  if (code === 'file_not_found') return new ApiError('not_found', message, { cause: error })
  if (invalidCodes.has(code)) return ApiError.invalid({ [field]: [message] })
  return new ApiError('conflict', message, { cause: error })
}
