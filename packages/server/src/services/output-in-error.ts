import type { WireErrorCode } from '@theazo/core'
import { ApiError, SandboxStartError } from '../errors.ts'

/** Maximum bytes of each stream in an error (contract, exec). */
const maxBytes = 64 * 1024

/** Codes of errors that end a running exec. */
const endingCodes: ReadonlySet<WireErrorCode> = new Set([
  'timeout',
  'session_limit_exceeded',
  'conflict',
  'provider_error',
])

/** The output of an exec until an error ended it. */
export interface OutputSoFar {
  stdout: string
  stderr: string
  durationMs: number
}

/** Adds the output so far to an error that ended a running exec. Returns any other error unchanged. */
export function withOutput(error: unknown, { stdout, stderr, durationMs }: OutputSoFar): unknown {
  if (!(error instanceof ApiError) || !endingCodes.has(error.code) || error.cause instanceof SandboxStartError)
    return error
  const { code, message, status, cause } = error
  const details = { ...error.details, stdout: headAndTail(stdout), stderr: headAndTail(stderr), durationMs }
  return new ApiError(code, message, { status, details, ...(cause !== undefined && { cause }) })
}

/** A text of at most 64 KiB unchanged; otherwise its head and tail with a note between, without split characters. */
function headAndTail(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return text
  const room = Math.floor((maxBytes - 100) / 2) // the note is shorter than 100 bytes
  const head = new TextDecoder().decode(bytes.subarray(0, room), { stream: true })
  let tailAt = bytes.length - room
  while (((bytes[tailAt] ?? 0) & 0xc0) === 0x80) tailAt += 1 // not in the middle of a character
  return `${head}\n[… ${tailAt - room} of ${bytes.length} bytes cut …]\n${bytes.toString('utf8', tailAt)}`
}
