import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** True in `pnpm soak`, which runs the long form of a test. */
export const isSoak: boolean = process.env['THEAZO_SOAK'] === '1'

/** Prints the results of a test; `pnpm soak` collects them for docs/soak.md. */
export function reportSoak(name: string, rows: [label: string, value: string][]): void {
  const text = rows.map(([label, value]) => `| ${label} | ${value} |`).join('\n')
  console.info(text) // oxlint-disable-line no-console -- the results of the run
  const folder = process.env['THEAZO_SOAK_REPORT']
  if (folder === undefined) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.md`), `${text}\n`)
}
