import type { WireErrorCode } from '@theazo/core'
import { ApiError, SandboxStartError } from '../errors.ts'

/** Bytes of each stream that an error carries (contract, exec). */
const maxBytes = 64 * 1024

/** Codes of the errors that end a running exec. */
const endings: ReadonlySet<WireErrorCode> = new Set(['timeout', 'session_limit_exceeded', 'conflict', 'provider_error'])

/** The output of an exec until something else ended it. */
export interface OutputSoFar {
  stdout: string
  stderr: string
  durationMs: number
}

/** Adds to an error that ended a running exec what the code had printed; any other error stays as it is. */
export function withOutput(error: unknown, { stdout, stderr, durationMs }: OutputSoFar): unknown {
  if (!(error instanceof ApiError) || !endings.has(error.code) || error.cause instanceof SandboxStartError) return error
  const { code, message, status, cause } = error
  const details = { ...error.details, stdout: headAndTail(stdout), stderr: headAndTail(stderr), durationMs }
  return new ApiError(code, message, { status, details, ...(cause !== undefined && { cause }) })
}

/** The start and the end of a text of more than 64 KiB, with a note of the cut; whole characters. */
function headAndTail(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return text
  const room = Math.floor((maxBytes - 100) / 2) // the note is shorter than 100 bytes
  const head = new TextDecoder().decode(bytes.subarray(0, room), { stream: true })
  let tailAt = bytes.length - room
  while (((bytes[tailAt] ?? 0) & 0xc0) === 0x80) tailAt += 1 // not in the middle of a character
  return `${head}\n[… ${tailAt - room} of ${bytes.length} bytes cut …]\n${bytes.toString('utf8', tailAt)}`
}
