// Puts what is no TypeScript into dist: the program that runs inside sandboxes, and the parts of Swagger UI that /docs
// shows (a page that loads nothing from elsewhere, and no dependency that reports installs to anybody).
import { copyFile, cp, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const inside = 'compute/local/inside'
await rm(join(here, 'dist', inside), { recursive: true, force: true }) // what is gone from the source must not stay
await cp(join(here, 'src', inside), join(here, 'dist', inside), { recursive: true })

const from = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')))
const to = join(here, 'dist/docs-page')
await mkdir(to, { recursive: true })
for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js', 'LICENSE', 'NOTICE']) {
  await copyFile(join(from, name), join(to, name))
}
