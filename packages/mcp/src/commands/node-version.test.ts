import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { nodeVersionError } from './node-version.ts'
import { bin } from '../testing/mcp-process.ts'

test('--local needs Node 22.18; without it Node 22.12 is enough', () => {
  expect(nodeVersionError('22.12.0', false)).toBeUndefined()
  expect(nodeVersionError('22.18.0', true)).toBeUndefined()
  expect(nodeVersionError('24.0.0', true)).toBeUndefined()
  expect(nodeVersionError('22.11.9', false)).toBe('theazo-mcp needs Node 22.12 or newer; this is 22.11.9.')
  expect(nodeVersionError('22.17.1', true)).toBe('theazo-mcp --local needs Node 22.18 or newer; this is 22.17.1.')
  expect(nodeVersionError('21.9.0', false)).toMatch('needs Node 22.12')
})

const run = promisify(execFile)
const oldNode = await firstOldNode()

test.skipIf(!oldNode)('an older Node prints the version that is needed, without a stack trace', async () => {
  const { path, version } = oldNode ?? { path: '', version: '' }
  const failed = await run(path, [bin, '--local']).catch((error: unknown) => error)
  expect(failed).toMatchObject({
    code: 1,
    stdout: '',
    stderr: `theazo-mcp --local needs Node 22.18 or newer; this is ${version}.\n`,
  })
})

/** A Node of this machine that is older than the one this package needs. */
async function firstOldNode(): Promise<{ path: string; version: string } | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/bin', '/usr/bin']
  for (const folder of folders) {
    if (!hasNode(folder)) continue
    const path = join(folder, 'node')
    const version = await run(path, ['-p', 'process.versions.node']).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    )
    if (version !== undefined && nodeVersionError(version, false)) return { path, version }
  }
  return undefined
}

function hasNode(folder: string): boolean {
  try {
    return readdirSync(folder).includes('node')
  } catch {
    return false
  }
}
