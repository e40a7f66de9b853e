import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openAgentsFolder, renewInstanceId } from '../agents-folder.ts'
import { asSetupError } from '../as-setup-error.ts'
import { unmountBelow } from '../compute/local/disk-images.ts'
import { removeTree } from '../compute/local/remove-tree.ts'
import { runTool } from '../compute/local/run-tool.ts'
import { openBase } from '../data-folder.ts'
import { SetupError } from '../errors.ts'
import { lockDataFolder, lockName } from '../folder-lock.ts'
import { makeFolder } from '../make-folder.ts'
import { databaseName } from '../store/database.ts'
import { type Flag, flagTable, folderOf, type Given, readFlags } from './flags.ts'

const dataDirFlag = { value: 'DIR', env: 'THEAZO_DATA_DIR' } as const
const backupFlags = {
  'data-dir': { ...dataDirFlag, help: 'data folder of the server, which must be stopped' },
  to: { value: 'FILE', help: 'tar archive to write; it contains the key: protect it like the data folder' },
} as const satisfies Record<string, Flag>
const restoreFlags = {
  'data-dir': { ...dataDirFlag, help: 'a new or empty folder' },
  from: { value: 'FILE', help: 'tar archive that backup wrote' },
} as const satisfies Record<string, Flag>

/** Help text of `backup`. */
export const backupHelp: string = `theazo-server backup               write database, keys and agents' files to an archive\n\n${flagTable(backupFlags)}`
/** Help text of `restore`. */
export const restoreHelp: string = `theazo-server restore              restore a data folder and agents' files from an archive\n\n${flagTable(restoreFlags)}`

const isRoot = process.getuid?.() === 0
/** Folders in the archive: the data folder, and for root the folder of agents' files, which is outside the data folder. */
const [dataMember, agentsMember] = ['data', 'agents'] as const

/** The `backup` command: writes a data folder and the files of its agents to an archive. @throws {SetupError} */
export async function backup(args: readonly string[]): Promise<void> {
  const { dataDir, file } = read(readFlags(args, backupFlags, process.env), 'to', 'backup')
  const databasePath = join(dataDir, databaseName)
  if (!existsSync(databasePath))
    throw new SetupError(`${dataDir} is not the data folder of a server. Give another folder with --data-dir.`)
  const found = await stat(file).catch(() => undefined)
  if (found && !found.isFile()) throw new SetupError(`--to ${file} exists and is not a file. Give another path.`)
  const partial = `${file}.partial`
  try {
    const lock = lockDataFolder(dataDir) // a running server would change files during the backup
    try {
      assertIntact(databasePath) // a damaged database must not replace the last good archive
      await writePrivate(partial, file)
      await add(partial, '--create', dataDir, dataMember, [`--exclude=./${lockName}*`])
      if (isRoot) {
        await using agents = await openAgentsFolder(dataDir, join(await openBase(true), 'agents'))
        await unmountBelow(agents.path) // mounts of a killed server
        await mkdir(agents.path, { recursive: true })
        await add(partial, '--append', agents.path, agentsMember, [])
      }
      await rename(partial, file)
    } finally {
      lock.close()
    }
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {}) // it may not exist
    throw asSetupError(error, databasePath)
  }
  process.stdout.write(`Wrote ${dataDir} to ${file} (${Math.ceil((await stat(file)).size / 1024 ** 2)} MiB).\n`)
}

/** The `restore` command: makes a data folder and the files of its agents from an archive. @throws {SetupError} */
export async function restore(args: readonly string[]): Promise<void> {
  const { dataDir, file } = read(readFlags(args, restoreFlags, process.env), 'from', 'restore')
  const found = await stat(file).catch(() => undefined)
  if (!found) throw new SetupError(`--from ${file}: no such file`)
  if (!found.isFile()) throw new SetupError(`--from ${file} is not a file`)
  const isNew = !existsSync(dataDir)
  try {
    await makeFolder(dataDir)
    if ((await readdir(dataDir)).length > 0)
      throw new SetupError(`${dataDir} is not empty. Give a new folder with --data-dir.`)
    const members = await membersOf(file).catch((cause: Error) => {
      throw new SetupError(`${file} cannot be read as an archive of theazo-server backup: ${cause.message}`, { cause })
    })
    if (!members.includes(dataMember)) throw new SetupError(`${file} is not an archive of theazo-server backup`)
    if (members.includes(agentsMember) && !isRoot) {
      throw new SetupError(`${file} was written by root, with a separate user for each agent. Restore it as root.`)
    }
    const lock = lockDataFolder(dataDir)
    try {
      await extract(file, dataMember, dataDir)
      await renewInstanceId(dataDir) // the original may still be in use
      if (members.includes(agentsMember)) {
        await using agents = await openAgentsFolder(dataDir, join(await openBase(true), 'agents'))
        await mkdir(agents.path)
        await extract(file, agentsMember, agents.path)
      }
    } catch (error) {
      for (const name of await readdir(dataDir)) await removeTree(join(dataDir, name))
      throw error
    } finally {
      lock.close()
    }
  } catch (error) {
    if (isNew) await rmdir(dataDir).catch(() => {}) // it may not exist
    throw asSetupError(error, join(dataDir, databaseName))
  }
  process.stdout.write(`Restored ${dataDir}. Start it with: theazo-server serve --data-dir ${dataDir}\n`)
}

/** @throws {SetupError} if SQLite finds damage; SQLite's own error if the file is not a database. */
function assertIntact(path: string): void {
  const database = new DatabaseSync(path)
  try {
    const [row] = database.prepare('pragma quick_check(1)').all()
    const says = String(row?.['quick_check'])
    if (says !== 'ok') throw new SetupError(`The database ${path} is damaged and was not backed up: ${says}`)
    database.prepare('select count(*) from sessions').get()
  } finally {
    database.close()
  }
}

/** Creates an empty file that only its owner can read. @param file the final name, for the message. */
async function writePrivate(path: string, file: string): Promise<void> {
  try {
    await writeFile(path, '', { mode: 0o600 })
    await chmod(path, 0o600)
  } catch (cause) {
    throw new SetupError(`--to ${file} cannot be written: ${(cause as Error).message}`, { cause })
  }
}

function read<Name extends 'to' | 'from'>(
  given: Given<'data-dir' | Name>,
  name: Name,
  command: string,
): { dataDir: string; file: string } {
  const { values, positionals } = given
  const [dataDir, file] = [folderOf(given), values[name]]
  if (dataDir === undefined || !file || positionals.length > 0) {
    throw new SetupError(`${command} needs --data-dir DIR and --${name} FILE, and nothing else`)
  }
  return { dataDir: resolve(dataDir), file: resolve(file) }
}

/** Agents' disks are sparse files of some GiB. Agents' users have numbers only, no names. */
const preserving = ['--sparse', '--numeric-owner'] as const

async function add(file: string, how: '--create' | '--append', folder: string, member: string, more: string[]) {
  await tar([
    how,
    ...preserving,
    `--file=${file}`,
    `--directory=${folder}`,
    `--transform=s,^\\.,${member},rSh`,
    ...more,
    '.',
  ])
}

async function extract(file: string, member: string, folder: string): Promise<void> {
  const to = [`--file=${file}`, `--directory=${folder}`, '--strip-components=1', '--preserve-permissions']
  await tar(['--extract', ...preserving, '--same-owner', ...to, member])
}

/** The top-level folders of an archive. */
async function membersOf(file: string): Promise<string[]> {
  const listed = await tar(['--list', `--file=${file}`, '--exclude=*/*/*', '--exclude=*/?*'])
  return listed.split('\n').map((name) => name.replace(/\/$/, ''))
}

async function tar(args: string[]): Promise<string> {
  try {
    return await runTool('tar', args)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new SetupError(message.split('\n')[0] ?? '', { cause }) // tar's further lines only report that it gives up
  }
}
