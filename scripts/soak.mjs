// What `pnpm soak` runs: the long forms of the fault and fuzz tests. Their last result is written to docs/soak.md.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { run } from './run-process.mjs'
import { node, root } from './setup.mjs'

const names = ['kill', 'api-fuzz', 'supervisor-faults', 'sandbox-endurance', 'pause-freeze']
const files = names.map((name) => `test/src/${name}.test.ts`).filter((path) => existsSync(join(root, path)))
const folder = mkdtempSync(join(tmpdir(), 'theazo-soak-'))
try {
  process.env.THEAZO_SOAK = '1'
  // Each test leaves the rows of its table here: NAME.md.
  process.env.THEAZO_SOAK_REPORT = folder
  const code = await run(node, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...files])
  const tables = readdirSync(folder)
    .toSorted()
    .map(
      (name) =>
        `## ${basename(name, '.md')}\n\n| what | result |\n|---|---|\n${readFileSync(join(folder, name), 'utf8')}`,
    )
  if (code === 0) writeResult(tables.join('\n'))
  process.exitCode = code
} finally {
  rmSync(folder, { recursive: true })
}

/** Below the marker; what stands above it is written by hand. */
function writeResult(text) {
  const path = join(root, 'docs/soak.md')
  const marker = '<!-- results -->'
  const [head = ''] = readFileSync(path, 'utf8').split(marker)
  writeFileSync(path, `${head}${marker}\n\nNode ${process.version}, ${cpus().length} cores.\n\n${text}`)
}
