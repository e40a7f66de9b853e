import { SetupError } from '../errors.ts'
import { type Flag, flagTable, folderOf, readFlags } from './flags.ts'
import type { Finding } from './finding.ts'
import { sandboxFlags, sandboxOptionsOf } from './sandbox-flags.ts'

const flags = {
  'data-dir': { value: 'DIR', env: 'THEAZO_DATA_DIR', help: 'also check this data folder' },
  ...sandboxFlags,
  json: { help: 'print JSON' },
} as const satisfies Record<string, Flag>

/** Help text of `doctor`. */
export const doctorHelp: string = `theazo-server doctor               check this machine, with a fix for each problem\n\n${flagTable(flags)}`

/** The `doctor` command: prints the checks. Exit code 1 if `serve` would not start. @throws {SetupError} */
export async function doctor(args: readonly string[]): Promise<void> {
  const given = readFlags(args, flags, process.env)
  const { values, positionals } = given
  if (positionals.length > 0) throw new SetupError(`doctor accepts no argument ${positionals[0]}`)
  // Imported here: on an old Node this import fails with an unrelated error, so the flags are read first.
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
  return `${lines.join('\n')}\n\n+ ok   - absent: the server works without it   ! missing: serve does not start\n`
}
