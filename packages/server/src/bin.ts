#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { SetupError } from './errors.ts'
import { type Plan, plans } from './keys/plan.ts'
import { defaultPort, listenTheazo } from './listen.ts'

const usage = `theazo-server serve   the Theazo API on this machine

  --port N         port to listen on; 0 takes a free one            (default ${defaultPort})
  --host NAME      address to listen on                             (default 127.0.0.1)
  --data-dir DIR   where sessions, files and the key are kept       (default: temporary)
  --plan NAME      plan of the embedded key: ${plans.join(', ')}  (default enterprise)
  --json           print {"url","apiKey"} on one line when ready
  --help           print this

Log lines go to standard error.`

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  process.stderr.write(`theazo-server: ${error.message}\n`)
  process.exitCode = 1
}

async function main(argv: string[]): Promise<void> {
  const { values, positionals } = parse(argv)
  if (values.help) return void process.stdout.write(`${usage}\n`)
  if (positionals.length !== 1 || positionals[0] !== 'serve')
    throw new SetupError(`the only command is serve\n\n${usage}`)

  const stop = stopSignal()
  await using server = await listenTheazo({
    port: portOf(values.port),
    host: values.host,
    dataDir: dataDirOf(values['data-dir']),
    plan: planOf(values.plan),
    log: process.stderr,
  })
  const { url, apiKey } = server
  const ready = values.json
    ? JSON.stringify({ url, apiKey })
    : `Theazo listens on ${url}\n\n  export THEAZO_BASE_URL=${url}\n  export THEAZO_API_KEY=${apiKey}\n`
  process.stdout.write(`${ready}\n`)
  await stop
}

function parse(argv: string[]) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        'data-dir': { type: 'string' },
        plan: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
  } catch (cause) {
    throw new SetupError(`${cause instanceof Error ? cause.message : cause}\n\n${usage}`, { cause })
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (text === '' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new SetupError(`--port is a number from 0 to 65535, not ${text}`)
  }
  return port
}

function dataDirOf(text: string | undefined): string | undefined {
  if (text === '') throw new SetupError('--data-dir is a folder, not an empty text')
  return text
}

function planOf(text: string | undefined): Plan | undefined {
  const plan = plans.find((name) => name === text)
  if (text !== undefined && !plan) throw new SetupError(`--plan is one of ${plans.join(', ')}, not ${text}`)
  return plan
}

/** Resolves at the first request to end. Later ones change nothing: the same Ctrl-C often arrives more than once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve())
  })
}
