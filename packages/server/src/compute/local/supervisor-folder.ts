import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SetupError } from '../../errors.ts'

const run = promisify(execFile)
const source = fileURLToPath(new URL('inside/', import.meta.url))
const python = '/usr/bin/python3'

/**
 * Returns the folder with the compiled program of the supervisor. It is compiled once for each version of the program and of
 * Python, because compiling takes longer than the rest of a sandbox's start. Every agent's user can read it.
 *
 * @param base contains the folders of all versions, for all servers of this machine.
 * @param scratchPath a folder of this server on the same file system. A later server removes what a kill leaves there.
 * @throws {SetupError} if Python is not installed.
 */
export async function supervisorFolder(base: string, scratchPath: string): Promise<string> {
  const names = (await readdir(source)).filter((name) => /\.(py|mjs|sh)$/.test(name)).toSorted()
  const hash = createHash('sha256')
  for (const name of names) hash.update(name).update(await readFile(join(source, name)))
  const { mtimeMs, size } = await stat(python).catch((cause: unknown) => {
    throw new SetupError(
      `There is no ${python}, which runs sandboxes from inside. Install it: sudo apt-get install -y python3`,
      { cause },
    )
  })
  const digest = hash.update(`${mtimeMs} ${size}`).digest('hex').slice(0, 16)
  const path = join(base, `supervisor-${digest}`)
  if (await stat(path).catch(() => undefined)) return path
  const partial = join(scratchPath, 'supervisor')
  await mkdir(partial)
  for (const name of names) await copyFile(join(source, name), join(partial, name))
  // Modules without sources; their tracebacks have the path in the sandbox.
  const compile = [
    '-m',
    'compileall',
    '-q',
    '-b',
    '-d',
    '/opt/theazo',
    '--invalidation-mode',
    'unchecked-hash',
    partial,
  ]
  await run(python, compile, { env: {} })
  for (const name of names.filter((found) => found.endsWith('.py'))) await rm(join(partial, name))
  for (const name of await readdir(partial)) await chmod(join(partial, name), name.endsWith('.sh') ? 0o755 : 0o644)
  await chmod(partial, 0o755)
  await rename(partial, path).catch(async (error: unknown) => {
    await rm(partial, { recursive: true })
    if (!(await stat(path).catch(() => undefined))) throw error // otherwise another server was faster
  })
  return path
}
