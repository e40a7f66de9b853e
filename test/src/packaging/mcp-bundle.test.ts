// The bundle for Claude Desktop: built, unpacked and started as the client does. And the entry of the MCP registry.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { getMcpConfigForManifest, unpackExtension } from '@anthropic-ai/mcpb'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const folder = join(root, 'packages/mcp')
const { version, mcpName, name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

let server: ListeningTheazo
let unpacked: string
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  unpacked = mkdtempSync(join(tmpdir(), 'theazo-unpacked-'))
  const bundle = join(unpacked, 'theazo-mcp.mcpb')
  execFileSync(process.execPath, ['bundle/build.mjs', bundle], { cwd: folder, stdio: 'pipe' })
  await unpackExtension({ mcpbPath: bundle, outputDir: unpacked, silent: true })
  rmSync(bundle)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(unpacked, { recursive: true })
})

const manifestOf = () => JSON.parse(readFileSync(join(unpacked, 'manifest.json'), 'utf8'))

/** Starts the server of the bundle with what the user has filled in. */
async function start(userConfig: Record<string, string>): Promise<Client> {
  const config = await getMcpConfigForManifest({
    manifest: manifestOf(),
    extensionPath: unpacked,
    systemDirs: {},
    userConfig,
    pathSeparator: '/',
  })
  if (!config) throw new Error('the manifest is not complete')
  const { args = [], env = {} } = config
  const client = new Client({ name: 'claude-desktop', version: '0' })
  const home = { PATH: process.env['PATH'] ?? '', HOME: homedir() }
  // Claude Desktop brings its own Node in place of the command `node`.
  const transport = new StdioClientTransport({
    command: process.execPath,
    args,
    env: { ...home, ...env },
    cwd: unpacked,
  })
  await client.connect(transport)
  return client
}

test('it has three files, and the version of the package', () => {
  const files = readdirSync(unpacked, { recursive: true }).map(String)
  expect(files.toSorted()).toEqual(['icon.png', 'manifest.json', 'server', 'server/index.mjs'])
  const manifest = manifestOf()
  expect(manifest.version).toBe(version)
  expect(existsSync(join(unpacked, manifest.server.entry_point))).toBe(true)
})

test('with the key and the URL of a server, its tools run code', async () => {
  const client = await start({ api_key: server.apiKey, base_url: String(server.url), user_id: 'desktop' })
  try {
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(['run_code', 'read_file', 'wait']))
    const result = await client.callTool({ name: 'run_code', arguments: { language: 'python', code: 'print(6 * 7)' } })
    expect(result.content).toEqual([{ type: 'text', text: '42' }])
  } finally {
    await client.close()
  }
})

test('the groups of tools are those that the user has chosen', async () => {
  const client = await start({ api_key: server.apiKey, base_url: String(server.url), toolsets: 'usage' })
  try {
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toContain('get_usage')
    expect(tools.map(({ name }) => name)).not.toContain('run_code')
  } finally {
    await client.close()
  }
})

test('without the required key there is no configuration to start', async () => {
  await expect(start({})).rejects.toThrow('the manifest is not complete')
})

test('the entry of the registry names the package, with the same name and version', () => {
  const entry = JSON.parse(readFileSync(join(folder, 'server.json'), 'utf8'))
  expect(entry).toMatchObject({ name: mcpName, version, packages: [{ identifier: name, version }] })
  expect(mcpName).toMatch(/^io\.github\.[\w-]+\/[\w-]+$/)
  expect(entry.description.length).toBeLessThanOrEqual(100)
  const keys = entry.packages[0].environmentVariables.filter(({ isSecret }: { isSecret?: boolean }) => isSecret)
  expect(keys.map(({ name }: { name: string }) => name)).toEqual(['THEAZO_API_KEY'])
})
