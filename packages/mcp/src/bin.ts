#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { Theazo, TheazoError } from '@theazo/core'
import { createTheazoMcpServer } from './server.ts'
import { sessionSandbox } from './session-sandbox.ts'
import { version } from './version.ts'

const usage = `theazo-mcp   an MCP server over stdio: a safe computer for your MCP client

  --local          run the sandboxes on this machine, without an account
  --user-id NAME   whose Theazo session is used      (default: mcp, or THEAZO_USER_ID)
  --help           print this

Without --local it uses the Theazo API: set THEAZO_API_KEY, and THEAZO_BASE_URL for a server of your own.`

// Standard output is the protocol's: everything for people goes to standard error.
try {
  await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`theazo-mcp: ${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}

async function main(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
    options: { local: { type: 'boolean' }, 'user-id': { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help) return void process.stderr.write(`${usage}\n`)

  const ended = clientGone()
  await using local = values.local ? await openLocal() : undefined
  const theazo = local ? new Theazo(local) : connect()
  const userId = values['user-id'] ?? process.env['THEAZO_USER_ID'] ?? 'mcp'
  await using sandbox = sessionSandbox(theazo, userId)
  const server = createTheazoMcpServer({ sandbox: () => sandbox.get() })
  await server.connect(new StdioServerTransport())
  await ended
  await server.close()
}

function connect(): Theazo {
  try {
    return new Theazo({ userAgent: `theazo-mcp/${version}` })
  } catch (error) {
    if (!TheazoError.isInstance(error)) throw error
    throw new Error(`${error.message} Or start it with --local, which needs no account.`, { cause: error })
  }
}

/** Loaded only here: who talks to a remote server need not have it installed. */
async function openLocal() {
  const { createLocalTheazo } = await import('@theazo/server').catch((cause: unknown) => {
    throw new Error('--local needs the package @theazo/server: npm install @theazo/server', { cause })
  })
  return await createLocalTheazo()
}

/** Resolves when the client has closed its end (the SDK does not tell) or somebody asks this process to end. */
function clientGone(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once('end', resolve)
    process.stdin.once('close', resolve)
    process.stdout.once('error', () => resolve()) // it went in the middle of an answer
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve())
  })
}
