// Packs every published package and checks the tarballs that npm would receive: publint checks the manifest, attw the types.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'theazo-pack-'))
try {
  const names = readdirSync(join(root, 'packages'))
  for (const name of names) exec('pnpm', ['pack', '--pack-destination', folder], join(root, 'packages', name))
  for (const tarball of readdirSync(folder)) {
    const path = join(folder, tarball)
    exec('publint', ['run', path, '--strict'])
    exec('attw', ['--profile', 'esm-only', path])
  }
  console.log(`${names.length} packages packed; their manifests and types are valid`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function exec(command, args, cwd = root) {
  try {
    execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout}${error.stderr}`, { cause: error })
  }
}
