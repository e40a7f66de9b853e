import { z } from 'zod'
import { closedObject } from '../../closed-object.ts'
import { SetupError } from '../../errors.ts'

/** An MCP server that runs as a process beside this server, and speaks over its standard input and output. */
export interface McpProcessOptions {
  command: string
  args?: string[] | undefined
  /** Added to HOME, LOGNAME, PATH, SHELL, TERM and USER of this server; it gets no other variables. Never logged. */
  env?: Record<string, string> | undefined
}

/** An MCP server that is reached by Streamable HTTP. */
export interface McpRemoteOptions {
  url: string
  /** Sent with each request. Never logged. */
  headers?: Record<string, string> | undefined
}

/** The place of one MCP server. */
export type McpServerOptions = McpProcessOptions | McpRemoteOptions

const text = z.string('must be a string')
const texts = z.record(z.string(), text, 'must be an object of strings')

const processOptions = closedObject({
  type: z.literal('stdio', "must be 'stdio' for a command").optional(),
  command: text.min(1, 'must not be empty'),
  args: z.array(text, 'must be a list of strings').optional(),
  env: texts.optional(),
})

const remoteOptions = closedObject({
  type: z
    .enum(['http', 'streamable-http'], "must be 'http' for a url; SSE of older servers is not supported")
    .optional(),
  url: text.refine((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? ''), 'must be an http or https address'),
  headers: texts.refine(areHeaders, 'must have names and values that HTTP allows').optional(),
})

/** Maximum characters of a name. */
const maxNameChars = 64

/**
 * Checks the MCP servers of an operator.
 *
 * @param from the start of an error: the option, or the file.
 * @throws {SetupError} that names the field, and shows no value.
 */
export function mcpServersOf(value: unknown, from = 'mcpServers'): ReadonlyMap<string, McpServerOptions> {
  if (value === undefined) return new Map()
  if (!isObject(value)) throw new SetupError(`${from} must be an object of servers by their names`)
  return new Map(Object.entries(value).map(([name, server]) => [name, serverOf(name, server, from)]))
}

function serverOf(name: string, value: unknown, from: string): McpServerOptions {
  const path = `${from}.${name.slice(0, maxNameChars)}`
  if (name.trim() === '' || name.length > maxNameChars) {
    throw new SetupError(`${path}: a name of a server must have 1 to ${maxNameChars} characters`)
  }
  if (!isObject(value) || 'url' in value === 'command' in value) {
    throw new SetupError(`${path} must be { command, args, env } or { url, headers }`)
  }
  const result = 'url' in value ? remoteOptions.safeParse(value) : processOptions.safeParse(value)
  if (result.success) {
    const { type: _type, ...server } = result.data
    return server
  }
  const [issue] = result.error.issues
  throw new SetupError(`${[path, ...(issue?.path ?? [])].join('.')} ${issue?.message}`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function areHeaders(headers: Record<string, string>): boolean {
  try {
    return Boolean(new Headers(headers))
  } catch {
    return false
  }
}
