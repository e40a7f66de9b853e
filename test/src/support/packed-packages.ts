import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inject } from 'vitest'
import { root } from './server-process.ts'

/** Packages that a user's project names beside ours. The versions are those of the catalog. */
const peers = [
  '@ai-sdk/anthropic',
  '@ai-sdk/harness',
  '@ai-sdk/openai',
  '@ai-sdk/react',
  '@langchain/anthropic',
  '@langchain/core',
  '@langchain/langgraph',
  '@langchain/openai',
  '@modelcontextprotocol/sdk',
  '@opentelemetry/api',
  '@types/node',
  '@types/react',
  'ai',
  'deepagents',
  'langchain',
  'react',
  'react-dom',
  'zod',
]

/** Packages that only a program of a README uses. They are too large for every install of the workspace: 200 MB. */
const readmePeers = { '@ai-sdk/harness-pi': '1.0.123' }

/**
 * Packs every package as npm would deliver it, and installs the tarballs and their peers into a folder outside the
 * workspace. The first test file that calls this does the work; the others wait, since an install takes many seconds.
 *
 * @returns the folder with `node_modules`. It is removed at the end of the run.
 */
export async function installPackedPackages(): Promise<string> {
  const folder = join(inject('sharedFolder'), 'packed')
  const [done, failed] = [join(folder, 'install-done'), join(folder, 'install-failed')]
  if (mkdirSync(folder, { recursive: true }) === undefined) {
    while (!existsSync(done)) {
      if (existsSync(failed)) throw new Error(`another test file could not install the packages: ${failed}`)
      await sleep(100)
    }
    return folder
  }
  try {
    chmodSync(join(folder, '..'), 0o755) // a plain user runs it too
    install(folder)
    writeFileSync(done, '')
  } catch (error) {
    writeFileSync(failed, String(error))
    throw error
  }
  return folder
}

function install(folder: string): void {
  const tarballs = join(folder, 'tarballs')
  const pack = ['-r', '--filter', './packages/*', 'pack', '--pack-destination', tarballs]
  execFileSync('pnpm', pack, { cwd: root, stdio: 'pipe' })
  const packed = readdirSync(tarballs).map((file) => [
    file.replace(/^theazo-(.*)-\d+\.\d+\.\d+\.tgz$/, '@theazo/$1'),
    `file:tarballs/${file}`,
  ])
  const catalogued = peers.map((name) => [name, versionOf(name)])
  const dependencies = { ...Object.fromEntries([...packed, ...catalogued]), ...readmePeers }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: folder, stdio: 'pipe' })
}

function versionOf(name: string): string {
  const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')
  const [, version] = new RegExp(`^  '?${name}'?: (\\S+)$`, 'm').exec(catalog) ?? []
  if (version === undefined) throw new Error(`${name} is not in the catalog of pnpm-workspace.yaml`)
  return version
}
