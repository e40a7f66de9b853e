import { SetupError } from '../errors.ts'
import { type Flag, flagTable, folderOf, readFlags } from './flags.ts'
import type { Finding } from './finding.ts'
import { sandboxFlags, sandboxOptionsOf } from './sandbox-flags.ts'

const flags = {
  'data-dir': { value: 'DIR', env: 'THEAZO_DATA_DIR', help: 'also look at this data folder' },
  ...sandboxFlags,
  json: { help: 'print JSON' },
} as const satisfies Record<string, Flag>

/** For the help of the program. */
export const doctorHelp: string = `theazo-server doctor               what this machine can give, and the fix for what it cannot\n\n${flagTable(flags)}`

/** Prints what is there and what is not. Ends with 1 where `serve` would not start. */
export async function doctor(args: readonly string[]): Promise<void> {
  const given = readFlags(args, flags, process.env)
  const { values, positionals } = given
  if (positionals.length > 0) throw new SetupError(`doctor takes no ${positionals[0]}`)
  // Not before: on an old Node the very import would fail, and say nothing of the kind.
  const { findAll } = await import('./findings.ts')
  const findings = await findAll(folderOf(given), sandboxOptionsOf(given))
  process.stdout.write(values.json === undefined ? text(findings) : `${JSON.stringify(findings)}\n`)
  if (findings.some(({ state }) => state === 'missing')) process.exitCode = 1
}

const marks = { ok: '+', absent: '-', missing: '!' } as const

function text(findings: readonly Finding[]): string {
  const lines = findings.map(({ name, state, says, fix }) => {
    return `${marks[state]} ${name.padEnd(22)} ${says}${fix ? `\n${' '.repeat(25)}fix: ${fix}` : ''}`
  })
  return `${lines.join('\n')}\n\n+ there   - not there, the server works without   ! missing: serve does not start\n`
}
