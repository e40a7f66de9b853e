// Packs every published package as npm would get it, and checks the tarballs: publint for the manifest, attw for types.
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
  console.log(`${names.length} packages pack, and their manifests and types hold`)
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
