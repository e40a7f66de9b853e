#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { SetupError } from './errors.ts'

// Each command is imported on demand: doctor must run even if the server cannot be imported.
const commands: Record<string, () => Promise<(args: readonly string[]) => Promise<void>>> = {
  serve: async () => (await import('./commands/serve.ts')).serve,
  keys: async () => (await import('./commands/keys.ts')).keys,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  backup: async () => (await import('./commands/backup.ts')).backup,
  restore: async () => (await import('./commands/backup.ts')).restore,
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  process.stderr.write(`theazo-server: ${error.message}\n`)
  process.exitCode = 1
}

async function main(args: readonly string[]): Promise<void> {
  const [name = '', ...rest] = args
  if (args.includes('--help')) return void process.stdout.write(`${await help(name)}\n`)
  if (args.includes('--version')) return void process.stdout.write(`${version()}\n`)
  const command = await commands[name]?.()
  if (!command) throw new SetupError(`the commands are ${Object.keys(commands).join(', ')}\n\n${await help(name)}`)
  await command(rest)
}

/** Help of one command; of all commands without a known name. */
async function help(name: string): Promise<string> {
  const parts: Record<string, string> = {
    serve: `${(await import('./commands/serve.ts')).serveHelp}\n\nLog lines go to standard error.`,
    keys: (await import('./commands/keys.ts')).keysHelp,
    doctor: (await import('./commands/doctor.ts')).doctorHelp,
    backup: (await import('./commands/backup.ts')).backupHelp,
    restore: (await import('./commands/backup.ts')).restoreHelp,
  }
  return (
    parts[name] ??
    [
      ...Object.values(parts),
      'theazo-server COMMAND --help       show the options of one command\ntheazo-server --version            show the version',
    ].join('\n\n')
  )
}

/** Version of the package. */
function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version // our own file
}
