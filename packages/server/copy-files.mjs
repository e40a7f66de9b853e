// Puts what is no TypeScript into dist: the programs that start sandboxes and run inside them, and the parts of Swagger UI
// that /docs shows (a page that loads nothing from elsewhere, and no dependency that reports installs to anybody).
import { copyFile, cp, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
for (const folder of ['compute/local/inside', 'compute/local/launcher']) {
  await rm(join(here, 'dist', folder), { recursive: true, force: true }) // what is gone from the source must not stay
  await cp(join(here, 'src', folder), join(here, 'dist', folder), { recursive: true })
}

const from = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')))
const to = join(here, 'dist/docs-page')
// Not by their own names: with a LICENSE of Swagger UI in dist, pnpm packs none of this package's own.
const notices = { LICENSE: 'swagger-ui-license.txt', NOTICE: 'swagger-ui-notice.txt' }
await rm(to, { recursive: true, force: true })
await mkdir(to, { recursive: true })
for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js', 'LICENSE', 'NOTICE']) {
  await copyFile(join(from, name), join(to, notices[name] ?? name))
}
