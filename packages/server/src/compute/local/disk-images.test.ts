import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { DiskImages, filesPath, removeFiles, sizeOfFiles, unmountBelow, unmountDisk } from './disk-images.ts'
import { type RunTool, runTool } from './run-tool.ts'

const base = mkdtempSync(join(tmpdir(), 'theazo-disks-'))
const images = await DiskImages.open(runTool, base, 64 * 1024 * 1024)
afterAll(async () => {
  await unmountBelow(base)
  rmSync(base, { recursive: true })
})

let folders = 0
/** An agent's folder whose disk is not mounted, as after a restart. */
async function newFolder(): Promise<string> {
  const folder = join(base, `agent-${(folders += 1)}`)
  await mkdir(folder)
  await images?.create(folder, { uid: 0, gid: 0 })
  await mkdir(join(filesPath(folder), 'workspace'))
  await unmountDisk(runTool, folder)
  return folder
}

/** Delays each mount until it is released; `requested` resolves when a mount is requested. */
function delayedMount() {
  const [requested, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const run: RunTool = async (file, ...rest) => {
    if (file === 'mount') {
      requested.resolve()
      await released.promise
    }
    return await runTool(file, ...rest)
  }
  return { run, requested: requested.promise, release: released.resolve }
}

const mounts = (): string => readFileSync('/proc/self/mountinfo', 'utf8')

test.runIf(images)('a removal while files are measured leaves no mount and no folder', async () => {
  const folder = await newFolder()
  const { run, requested, release } = delayedMount()
  const measured = sizeOfFiles(run, folder)
  await requested
  const removed = removeFiles(runTool, folder)
  release()
  await Promise.all([measured, removed])
  expect(existsSync(folder)).toBe(false)
  expect(mounts()).not.toContain(folder)
})

test.runIf(images)('a measurement that comes after the removal creates nothing', async () => {
  const folder = await newFolder()
  expect(await sizeOfFiles(runTool, folder)).toBeLessThan(64 * 1024)
  expect(mounts()).toContain(folder) // proves that a mount would be seen
  const removed = removeFiles(runTool, folder)
  expect(await sizeOfFiles(runTool, folder)).toBeUndefined()
  await removed
  expect(existsSync(folder)).toBe(false)
  expect(mounts()).not.toContain(folder)
})

test.runIf(images)('the size of a disk is the size of its files', async () => {
  const folder = await newFolder()
  await sizeOfFiles(runTool, folder) // mounts
  writeFileSync(join(filesPath(folder), 'workspace/file'), Buffer.alloc(10_000_000))
  const size = await sizeOfFiles(runTool, folder)
  expect(size).toBeGreaterThanOrEqual(10_000_000)
  expect(size).toBeLessThan(10_000_000 + 64 * 1024)
})
