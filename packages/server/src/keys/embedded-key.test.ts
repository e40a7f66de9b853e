import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { embeddedKey } from './embedded-key.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'theazo-key-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('creates the key once in concurrent calls, readable only by its owner', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => embeddedKey(folder)))
  expect(new Set(keys).size).toBe(1)
  expect(keys[0]).toMatch(/^th_live_[\w-]{43}$/)
  expect((await stat(join(folder, 'api-key'))).mode & 0o777).toBe(0o600)
})

test('makes a file that others could read private again', async () => {
  const key = await embeddedKey(folder)
  await chmod(join(folder, 'api-key'), 0o644)
  expect(await embeddedKey(folder)).toBe(key)
  expect((await stat(join(folder, 'api-key'))).mode & 0o777).toBe(0o600)
})

test('creates a new key after the file was deleted', async () => {
  const key = await embeddedKey(folder)
  await rm(join(folder, 'api-key'))
  expect(await embeddedKey(folder)).not.toBe(key)
})

test.each(['', 'th_live_short', 'password', 'th_live_0123456789abcdef\nx'])(
  'rejects a file with %j, which is not a key',
  async (text) => {
    await writeFile(join(folder, 'api-key'), text)
    await expect(embeddedKey(folder)).rejects.toThrow(/does not contain an API key. Delete it/)
  },
)
