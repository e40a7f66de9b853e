import { truncate } from '@theazo/core/tools'
import type { McpServerOptions } from './mcp-options.ts'

/** Codes of JSON-RPC and of the SDK. */
const connectionClosed = -32_000
const requestTimeout = -32_001
export const invalidParams = -32_602
/** Statuses for a session that the server does not know: 404 by the specification, 400 by the SDK's own examples. */
const unknownSession = new Set([400, 404])
const maxFaultChars = 1_000
/** A shorter value would hide ordinary words. */
const minSecretChars = 4

/** True if the connection has probably ended: the fault is neither an answer of the server nor a timeout. */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error)
  if (isHttpFault(error)) return unknownSession.has(code ?? 0)
  return code === undefined || code === connectionClosed
}

/** True if the server has not processed the request, as far as its answer shows: it does not know the session, or was not reached. */
export function isUnprocessed(error: unknown): boolean {
  if (isHttpFault(error)) return unknownSession.has(codeOf(error) ?? 0)
  if (!(error instanceof Error)) return false
  return error.message === 'Not connected' || causeCode(error) === 'ECONNREFUSED'
}

/** The code of an error of the SDK. */
export function codeOf(error: unknown): number | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'number' ? code : undefined
}

/** The message of a fault for logs and models, without secrets of the options. */
export function faultText(error: unknown, options: McpServerOptions): string {
  if (codeOf(error) === requestTimeout) return 'it did not answer in time'
  const cause = causeCode(error)
  const message = error instanceof Error ? error.message : String(error)
  const text = cause === undefined ? message : `${message} (${cause})`
  const hidden = secretsOf(options).reduce((all, secret) => all.replaceAll(secret, '***'), text)
  return truncate(hidden, maxFaultChars)
}

/** Longest first: one may contain another. */
function secretsOf(options: McpServerOptions): string[] {
  const values =
    'url' in options ? remoteSecrets(options) : [...(options.args ?? []), ...Object.values(options.env ?? {})]
  const words = values.flatMap((value) => [value, ...value.split(/[\s=]+/)])
  return words.filter((word) => word.length >= minSecretChars).toSorted((a, b) => b.length - a.length)
}

function remoteSecrets({ url, headers = {} }: { url: string; headers?: Record<string, string> | undefined }): string[] {
  const { searchParams, username, password } = new URL(url)
  return [...searchParams.values(), username, password, ...Object.values(headers)]
}

function isHttpFault(error: unknown): boolean {
  // By name: the class is loaded with its transport only. -1 is not a status.
  return error instanceof Error && error.constructor.name === 'StreamableHTTPError' && (codeOf(error) ?? -1) > 0
}

function causeCode(error: unknown): string | undefined {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}
