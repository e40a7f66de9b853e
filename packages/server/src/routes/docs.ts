import { readFile } from 'node:fs/promises'
import { Hono } from 'hono'
import { openApiDocument } from '../openapi.ts'
import { answer, answerJson } from './answer.ts'
import type { Environment } from './environment.ts'
import { setHeader } from './headers.ts'

const files = { 'swagger-ui.css': 'text/css', 'swagger-ui-bundle.js': 'text/javascript' } as const

/** `/openapi.json` and `/docs`, which is Swagger UI served from this server. Both are public and return no user data. */
export function docsRoutes(): Hono<Environment> {
  let document: object | undefined
  const routes = new Hono<Environment>()
    .get('/openapi.json', (c) => answerJson(c.env, (document ??= openApiDocument())))
    .get('/docs', (c) => {
      setHeader(c.env, 'content-security-policy', pagePolicy)
      return answer(c.env, page, 'text/html; charset=utf-8')
    })
    .get('/docs/start.js', (c) => answer(c.env, script, 'text/javascript'))
  for (const [name, type] of Object.entries(files)) {
    routes.get(`/docs/${name}`, async (c) => {
      const bytes = await readFile(new URL(`../docs-page/${name}`, import.meta.url))
      setHeader(c.env, 'cache-control', 'max-age=86400')
      return answer(c.env, new Uint8Array(bytes), type)
    })
  }
  return routes
}

/** Swagger UI uses inline styles and data URLs for icons. The page loads and sends nothing across origins. */
const pagePolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Theazo API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

const script = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, validatorUrl: null })\n`
