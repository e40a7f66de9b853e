import { parseFlags, usage } from './flags.ts'
import { serveStdio } from './serve-stdio.ts'
import { unsetPlaceholders } from './unset-placeholders.ts'
import { version } from './version.ts'

/**
 * The program `theazo-mcp`, to its end. Standard output is the protocol's; only --help and --version, which speak none,
 * print to it.
 */
export async function main(argv: readonly string[]): Promise<void> {
  process.stderr.on('error', () => {}) // the client may close it
  unsetPlaceholders(process.env, ['THEAZO_API_KEY', 'THEAZO_BASE_URL', 'THEAZO_USER_ID'])
  try {
    const flags = parseFlags(argv)
    if (flags.show !== undefined) {
      process.stdout.write(`${flags.show === 'help' ? usage : version}\n`)
      return
    }
    await serveStdio({ ...flags, userId: flags.userId ?? process.env['THEAZO_USER_ID'] ?? 'mcp' })
  } catch (error) {
    process.stderr.write(`theazo-mcp: ${messageOf(error)}\n`)
    process.exitCode = 1
  }
  process.exit() // a connection to a server that does not answer would keep the process
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return [error.message, ...error.errors.map(messageOf)].join(' ')
  return error instanceof Error ? error.message : String(error)
}
