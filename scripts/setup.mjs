// Makes a fresh machine ready: system packages, pnpm's install, the build. Says everything on standard error.
// Runs on the machine's own Node (20 or newer) with nothing installed, so it is plain JavaScript without dependencies.
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run-process.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))
/** Node 24, a dev dependency: everything but these scripts runs on it. */
export const node = join(root, 'node_modules/node/bin/node')

const stampPath = join(root, 'node_modules/.cache/theazo-setup')
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** What went wrong, in words for whoever typed the command. */
export class SetupFailure extends Error {}

/** Runs pnpm at the pinned version, without installing it globally. */
export function pnpm(...args) {
  // npm's own flags in the environment (`npm test --silent`) are not meant for pnpm.
  return run('npx', ['--yes', packageManager, ...args], { cwd: root, stdout: 'stderr' })
}

/** @param {{ forTests: boolean }} options forTests: also what only the suites need. */
export async function setUp({ forTests }) {
  if (process.platform !== 'linux') {
    throw new SetupFailure(`The local sandbox needs Linux; this is ${process.platform}. Use a Linux VM or container.`)
  }
  await installSystemPackages(forTests)
  const stamp = fingerprint()
  if (isBuilt() && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return

  rmSync(stampPath, { force: true })
  say('installing packages and building; the next start skips this')
  await must(pnpm('install', '--frozen-lockfile'), 'pnpm install failed; the reason is above.')
  await must(pnpm('run', 'build'), 'The build failed; the reason is above.')
  mkdirSync(dirname(stampPath), { recursive: true })
  writeFileSync(stampPath, stamp)
}

async function installSystemPackages(forTests) {
  const wanted = [
    { name: 'bubblewrap', isThere: () => isOnPath('bwrap') },
    { name: 'python3', isThere: () => isExecutable('/usr/bin/python3') },
    ...(forTests
      ? [
          { name: 'curl', isThere: () => isOnPath('curl') },
          { name: 'iproute2', isThere: () => isOnPath('ip') }, // networks that tests make for themselves
        ]
      : []),
  ]
  const missing = () => wanted.filter(({ isThere }) => !isThere()).map(({ name }) => name)
  const names = missing()
  if (names.length === 0) return
  const isRoot = process.getuid() === 0
  const command = `${isRoot ? '' : 'sudo '}apt-get update && ${isRoot ? '' : 'sudo '}apt-get install -y ${names.join(' ')}`
  if (!isRoot || !isOnPath('apt-get')) {
    throw new SetupFailure(
      `Missing: ${names.join(', ')}. Code never runs without isolation. Run this, then again:\n\n  ${command}\n`,
    )
  }
  say(`installing ${names.join(', ')}`)
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args) => run('apt-get', ['-qq', ...args], { stdout: 'stderr', env: environment })
  await apt('update')
  await apt('install', '-y', '--no-install-recommends', ...names)
  const still = missing()
  if (still.length > 0) {
    throw new SetupFailure(
      `apt-get did not bring ${still.join(', ')}. Run this, see what it says, then again:\n\n` +
        `  apt-get update && apt-get install -y --reinstall ${still.join(' ')}\n`,
    )
  }
}

/**
 * Of everything the set-up depends on: sources, manifests, and the lockfile, which names the Node that all runs on. Not
 * the Node of this script: after an install npm finds the installed one, before it the machine's.
 */
function fingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`)
  const manifests = [
    'package.json',
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    'tsconfig.base.json',
    'turbo.json',
    'scripts',
  ]
  for (const path of [...manifests, 'packages', 'examples', 'test'].flatMap((name) => filesBelow(name))) {
    hash.update(`\0${path}\0`).update(readFileSync(join(root, path)))
  }
  return hash.digest('hex')
}

function filesBelow(path) {
  if (/(^|\/)(node_modules|dist|\.turbo)$/.test(path) || path.endsWith('.test.ts')) return []
  const entries = readDirectory(join(root, path))
  return entries ? entries.toSorted().flatMap((name) => filesBelow(`${path}/${name}`)) : [path]
}

function readDirectory(path) {
  try {
    return readdirSync(path)
  } catch (error) {
    if (error.code === 'ENOTDIR') return undefined
    throw error
  }
}

function isBuilt() {
  if (!isExecutable(node)) return false
  return readdirSync(join(root, 'packages')).every((name) => existsSync(join(root, 'packages', name, 'dist/index.js')))
}

function isOnPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && isExecutable(join(folder, name)))
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function must(exitCode, message) {
  if ((await exitCode) !== 0) throw new SetupFailure(message)
}

function say(text) {
  process.stderr.write(`set-up: ${text}\n`)
}
