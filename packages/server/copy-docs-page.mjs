// Puts the parts of Swagger UI that /docs shows into dist: a page that loads nothing from elsewhere, and no dependency
// that reports installs to anybody.
import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const from = dirname(fileURLToPath(import.meta.resolve('swagger-ui-dist/package.json')))
const to = fileURLToPath(new URL('dist/docs-page/', import.meta.url))
await mkdir(to, { recursive: true })
for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js', 'LICENSE', 'NOTICE']) {
  await copyFile(join(from, name), join(to, name))
}
