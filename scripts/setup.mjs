// Sets up a fresh machine: system packages, `pnpm install`, the build. All its output goes to standard error.
// It runs on the machine's Node (20 or newer) before anything is installed, so it is plain JavaScript without dependencies.
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run-process.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))
/** Node 24, a dev dependency. Everything except these scripts runs on it. */
export const node = join(root, 'node_modules/node/bin/node')

const stampPath = join(root, 'node_modules/.cache/theazo-setup')
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** An error that states how to continue. It is printed without a stack trace. */
export class SetupFailure extends Error {}

/** Runs the pinned version of pnpm, without a global installation. */
export function pnpm(...args) {
  return run('npx', ['--yes', packageManager, ...args], { cwd: root, stdout: 'stderr' })
}

/** @param {{ forTests: boolean }} options `forTests: true` also installs the system packages that only tests need. */
export async function setUp({ forTests }) {
  if (process.platform !== 'linux') {
    throw new SetupFailure(`The local sandbox needs Linux; this is ${process.platform}. Use a Linux VM or container.`)
  }
  await installSystemPackages(forTests)
  const stamp = fingerprint()
  if (isBuilt() && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return

  rmSync(stampPath, { force: true })
  log('installing packages and building; the next start skips this step')
  await requireSuccess(pnpm('install', '--frozen-lockfile'), 'pnpm install failed; its output above states the reason.')
  await requireSuccess(pnpm('run', 'build'), 'The build failed; its output above states the reason.')
  mkdirSync(dirname(stampPath), { recursive: true })
  writeFileSync(stampPath, stamp)
}

async function installSystemPackages(forTests) {
  const required = [
    { name: 'bubblewrap', isInstalled: () => isOnPath('bwrap') },
    { name: 'python3', isInstalled: () => isExecutable('/usr/bin/python3') },
    ...(forTests
      ? [
          { name: 'curl', isInstalled: () => isOnPath('curl') },
          { name: 'iproute2', isInstalled: () => isOnPath('ip') }, // tests create their own networks
          { name: 'chromium-headless-shell', isInstalled: () => browsers().some(isExecutable) },
        ]
      : []),
  ]
  const missing = () => required.filter(({ isInstalled }) => !isInstalled()).map(({ name }) => name)
  const names = missing()
  if (names.length === 0) return
  const isRoot = process.getuid() === 0
  const command = `${isRoot ? '' : 'sudo '}apt-get update && ${isRoot ? '' : 'sudo '}apt-get install -y ${names.join(' ')}`
  if (!isRoot || !isOnPath('apt-get')) {
    throw new SetupFailure(
      `These system packages are missing: ${names.join(', ')}. Theazo does not run code without isolation. ` +
        `Install them, then start this command again:\n\n  ${command}\n`,
    )
  }
  log(`installing ${names.join(', ')}`)
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args) => run('apt-get', ['-qq', ...args], { stdout: 'stderr', env: environment })
  await apt('update')
  await apt('install', '-y', '--no-install-recommends', ...names)
  const stillMissing = missing()
  if (stillMissing.length > 0) {
    throw new SetupFailure(
      `apt-get did not install ${stillMissing.join(', ')}. Run this, correct the errors that it prints, then start this ` +
        `command again:\n\n  apt-get update && apt-get install -y --reinstall ${stillMissing.join(' ')}\n`,
    )
  }
}

/** Browsers in which the tests can use the chat of examples/. Debian's shell is the smallest and the fastest of them. */
function browsers() {
  return JSON.parse(readFileSync(join(root, 'scripts/browsers.json'), 'utf8'))
}

/**
 * A hash of the files that the setup depends on: sources, manifests, and the lockfile, which pins the Node version. It
 * does not include the version of the Node that runs this script: npm uses the machine's Node before the installation and
 * the installed Node after it.
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

async function requireSuccess(exitCode, message) {
  if ((await exitCode) !== 0) throw new SetupFailure(message)
}

function log(text) {
  process.stderr.write(`setup: ${text}\n`)
}
