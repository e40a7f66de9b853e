#!/usr/bin/env node
import { SetupError } from './errors.ts'

// Each command is loaded when it is asked for: doctor must run where the server itself cannot even be imported.
const commands: Record<string, () => Promise<(args: readonly string[]) => Promise<void>>> = {
  serve: async () => (await import('./commands/serve.ts')).serve,
  keys: async () => (await import('./commands/keys.ts')).keys,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
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
  if (args.includes('--help')) return void process.stdout.write(`${await help()}\n`)
  const command = await commands[name]?.()
  if (!command) throw new SetupError(`the commands are ${Object.keys(commands).join(', ')}\n\n${await help()}`)
  await command(rest)
}

async function help(): Promise<string> {
  const { serveHelp } = await import('./commands/serve.ts')
  const { keysHelp } = await import('./commands/keys.ts')
  const { doctorHelp } = await import('./commands/doctor.ts')
  return [serveHelp, keysHelp, doctorHelp, 'Log lines go to standard error.'].join('\n\n')
}
