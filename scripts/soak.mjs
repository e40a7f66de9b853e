// The entry of `pnpm soak`: runs the long versions of the fault and fuzz tests, or of the test files in the arguments. The
// latest result of each test is written to docs/soak.md.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { run } from './run-process.mjs'
import { node, root } from './setup.mjs'

const names =
  process.argv.length > 2
    ? process.argv.slice(2)
    : [
        'faults/kill',
        'contract/api-fuzz',
        'faults/supervisor-faults',
        'engine/restarts',
        'sandbox/sandbox-endurance',
        'sandbox/pause-freeze',
        'faults/overloading-tenant',
        'sandbox/languages',
        'client/files',
        'client/exec-time',
        'egress/compromised-proxy',
        'egress/proxy-process',
      ]
const files = names.map((name) => `test/src/${name}.test.ts`)
const folder = mkdtempSync(join(tmpdir(), 'theazo-soak-'))
try {
  process.env.THEAZO_SOAK = '1'
  // Each test writes the rows of its table to NAME.md in this folder.
  process.env.THEAZO_SOAK_REPORT = folder
  const code = await run(node, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...files])
  const tables = readdirSync(folder).map((name) => [
    basename(name, '.md'),
    `| measurement | result |\n|---|---|\n${readFileSync(join(folder, name), 'utf8').trimEnd()}`,
  ])
  if (code === 0) writeResult(tables)
  process.exitCode = code
} finally {
  rmSync(folder, { recursive: true })
}

/** Replaces the tables with these names below the marker. The text above the marker is written by hand. */
function writeResult(tables) {
  const path = join(root, 'docs/soak.md')
  const marker = '<!-- results -->'
  const [head = '', before = ''] = readFileSync(path, 'utf8').split(marker)
  const machine = `Node ${process.version}, ${cpus().length} cores.`
  const previous = before
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n')).trim()])
  const all = new Map([...previous, ...tables])
  const sections = [...all].toSorted().map(([name, table]) => `## ${name}\n\n${table}\n`)
  writeFileSync(path, `${head}${marker}\n\n${machine}\n\n${sections.join('\n')}`)
}
