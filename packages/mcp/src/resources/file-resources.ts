import { FileError, TheazoError } from '@theazo/core'
import { filesOf } from '@theazo/core/tools'
import type { AdvertisedSandboxes } from './advertised-sandboxes.ts'
import { jsonBytes } from '../calls/bounded-content.ts'
import { fileUriTemplate, type SandboxFilePath } from './file-uri.ts'
import type { ReadResourceResult, ResourceTemplate } from '../mcp-types.ts'
import { RequestError } from '../request-error.ts'

/** Base64 adds a third, and some clients accept at most 10 MiB in one message. */
const maxFileBytes = 4_000_000
/** JSON writes each control character as six bytes; above this size base64 is shorter than text. */
const maxTextBytes = 8_000_000

/** The template of a file, as `resources/templates/list` describes it. */
export const fileTemplate: ResourceTemplate = {
  name: 'file',
  title: 'File of the sandbox',
  description: `A file by its absolute path, up to ${maxFileBytes / 1_000_000} MB.`,
  uriTemplate: fileUriTemplate,
}

/** Reads a file as a resource. @throws {RequestError} that states why it cannot be read. */
export async function readFileResource(
  sandboxes: AdvertisedSandboxes,
  uri: string,
  { agentId, path }: SandboxFilePath,
  signal: AbortSignal,
): Promise<ReadResourceResult> {
  try {
    const sandbox = await sandboxes.byId(agentId, signal)
    const release = sandbox.hold?.()
    try {
      const bytes = await filesOf(sandbox).read(path, { signal, maxBytes: maxFileBytes })
      return { contents: [{ uri, ...contentOf(path, bytes) }] }
    } finally {
      release?.()
    }
  } catch (error) {
    if (signal.aborted || !TheazoError.isInstance(error)) throw error
    // If the read found that the sandbox is gone, this throws the error that names the new sandbox.
    if (error.code === 'file_not_found') await sandboxes.byId(agentId, signal)
    throw resourceError(error)
  }
}

/** Text if the bytes are UTF-8 text, otherwise base64. */
function contentOf(path: string, bytes: Uint8Array): { mimeType: string } & ({ text: string } | { blob: string }) {
  const text = textOf(bytes)
  const extension = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? ''
  if (text !== undefined && jsonBytes(text) <= maxTextBytes) {
    return { mimeType: textTypes[extension] ?? 'text/plain', text }
  }
  const mimeType = binaryTypes[extension] ?? 'application/octet-stream'
  return { mimeType, blob: Buffer.from(bytes).toString('base64') }
}

function textOf(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const textTypes: Readonly<Record<string, string>> = {
  css: 'text/css',
  csv: 'text/csv',
  html: 'text/html',
  json: 'application/json',
  md: 'text/markdown',
  svg: 'image/svg+xml',
  xml: 'application/xml',
}

const binaryTypes: Readonly<Record<string, string>> = {
  gif: 'image/gif',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  pdf: 'application/pdf',
  png: 'image/png',
  webp: 'image/webp',
  zip: 'application/zip',
}

/** The error of the API, as the client receives it. */
export function resourceError(error: TheazoError): RequestError {
  const { name, code, message } = error
  if (code === 'file_too_large') {
    return new RequestError('invalid', `${message} Read a part of it with run_code.`, { cause: error })
  }
  if (FileError.isInstance(error)) return new RequestError('not_found', message, { cause: error })
  return new RequestError('internal', `${name} (${code}): ${message}`, { cause: error })
}
