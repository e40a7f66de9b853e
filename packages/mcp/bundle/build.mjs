/**
 * Builds the bundle for Claude Desktop and other clients that install .mcpb files: the manifest, the icon and the whole
 * program in one file. It needs no other package, and connects to a server; it cannot run sandboxes itself.
 *
 * Usage: node bundle/build.mjs [OUTPUT]   (default: theazo-mcp.mcpb in this package). Run `build` before.
 *
 * @module
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packExtension } from '@anthropic-ai/mcpb'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const output = process.argv[2] ?? join(here, '../theazo-mcp.mcpb')
const { version } = JSON.parse(readFileSync(join(here, '../package.json'), 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'theazo-bundle-'))
try {
  const manifest = JSON.parse(readFileSync(join(here, 'manifest.json'), 'utf8'))
  writeFileSync(join(folder, 'manifest.json'), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`)
  cpSync(join(here, 'icon.png'), join(folder, 'icon.png'))
  mkdirSync(join(folder, 'server'))
  await build({
    entryPoints: [join(here, '../dist/bin.js')],
    outfile: join(folder, 'server/index.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    minify: true,
    legalComments: 'eof', // the licences of the bundled packages
    external: ['@theazo/server'], // only --local needs it
    // Some dependencies are CommonJS and call require.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  })
  const isPacked = await packExtension({ extensionPath: folder, outputPath: output, silent: true })
  if (!isPacked) throw new Error('The manifest is not valid: run `mcpb validate bundle/manifest.json`.')
  process.stdout.write(`${output}\n`)
} finally {
  rmSync(folder, { recursive: true })
}
