import { readFile } from 'node:fs/promises'
import { mcpServersOf } from '../engine/mcp/mcp-options.ts'
import { SetupError } from '../errors.ts'
import type { ServerOptions } from '../server.ts'
import type { Flag, Given } from './flags.ts'

/** The flag of the MCP servers, for `serve`. */
export const mcpFlags = {
  'mcp-config': {
    value: 'FILE',
    env: 'THEAZO_MCP_CONFIG',
    help: 'JSON with the mcpServers whose tools agents may have as mcp:NAME, as in Claude Desktop (default: none)',
  },
} as const satisfies Record<string, Flag>

/** Reads the file of MCP servers. Other fields of it are ignored. @throws {SetupError} that names the file and the field. */
export async function mcpServersFrom({
  values,
  nameOf,
}: Given<keyof typeof mcpFlags>): Promise<ServerOptions['mcpServers']> {
  const path = values['mcp-config']
  if (path === undefined) return undefined
  const from = `${nameOf('mcp-config')} ${path}`
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new SetupError(`${from} cannot be read: ${cause.message}`, { cause })
  })
  const servers = jsonOf(text, from)?.['mcpServers']
  if (servers === undefined) throw new SetupError(`${from}: mcpServers is missing`)
  return Object.fromEntries(mcpServersOf(servers, `${from}: mcpServers`))
}

/** @throws {SetupError} without the parser's message, which quotes the file: it may have keys. */
function jsonOf(text: string, from: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined // read by name only
  } catch {
    throw new SetupError(`${from} is not valid JSON`)
  }
}
