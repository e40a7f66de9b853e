import { randomUUID } from 'node:crypto'
import { chmod, link, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SetupError } from '../errors.ts'
import { newKey } from './api-keys.ts'

/**
 * The embedded key of a server, stored in a file that only its owner can read. It is the same at each start; if the file
 * was deleted, a new key is created.
 *
 * @throws {SetupError} if the file does not contain a key.
 */
export async function embeddedKey(dataPath: string): Promise<string> {
  const path = join(dataPath, 'api-key')
  const key = (await readKey(path)) ?? (await makeKey(path))
  if (!/^th_live_[\w-]{16,}$/.test(key)) {
    throw new SetupError(`${path} does not contain an API key. Delete it to get a new key.`)
  }
  await chmod(path, 0o600)
  return key
}

async function makeKey(path: string): Promise<string> {
  const partial = `${path}.${randomUUID()}`
  await writeFile(partial, `${newKey('live')}\n`, { mode: 0o600 })
  try {
    await link(partial, path) // atomic, and never replaces the key of another process
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(partial)
  }
  return (await readKey(path)) ?? ''
}

async function readKey(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
