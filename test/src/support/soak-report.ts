import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Says the numbers of a run; `pnpm soak` collects them for docs/soak.md. */
export function reportSoak(name: string, rows: [what: string, value: string][]): void {
  const text = rows.map(([what, value]) => `| ${what} | ${value} |`).join('\n')
  console.info(text) // oxlint-disable-line no-console -- the numbers of the run
  const folder = process.env['THEAZO_SOAK_REPORT']
  if (folder === undefined) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.md`), `${text}\n`)
}
