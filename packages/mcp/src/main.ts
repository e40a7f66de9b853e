import { parseFlags, usage } from './commands/flags.ts'
import { serveStdio } from './commands/serve-stdio.ts'
import { unsetPlaceholders } from './commands/unset-placeholders.ts'
import { version } from './version.ts'

/**
 * Runs the program `theazo-mcp` and exits the process. Over stdio, standard output carries the MCP protocol;
 * only --help and --version print text to it.
 */
export async function main(argv: readonly string[]): Promise<void> {
  process.stderr.on('error', () => {}) // the client may close this stream
  unsetPlaceholders(process.env, ['THEAZO_API_KEY', 'THEAZO_BASE_URL', 'THEAZO_USER_ID', 'THEAZO_MCP_TOKEN'])
  try {
    const flags = parseFlags(argv, process.env)
    if (flags.show !== undefined) {
      process.stdout.write(`${flags.show === 'help' ? usage : version}\n`)
      return
    }
    const { http, isDoctor, ...rest } = flags
    const options = { ...rest, userId: flags.userId ?? process.env['THEAZO_USER_ID'] ?? 'mcp' }
    if (isDoctor) {
      const { runDoctor } = await import('./commands/doctor.ts')
      const isWell = await runDoctor({ ...options, print: (line) => process.stdout.write(`${line}\n`) })
      if (!isWell) process.exitCode = 1
    } else if (http) {
      const { serveHttp } = await import('./commands/serve-http.ts') // stdio must not load an HTTP server
      await serveHttp({ ...options, http })
    } else {
      await serveStdio(options)
    }
  } catch (error) {
    process.stderr.write(`theazo-mcp: ${messageOf(error)}\n`)
    process.exitCode = 1
  }
  process.exit() // an open connection to a server that does not respond would keep the process alive
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return [error.message, ...error.errors.map(messageOf)].join(' ')
  return error instanceof Error ? error.message : String(error)
}
