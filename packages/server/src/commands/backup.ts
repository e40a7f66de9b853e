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
  'data-dir': { ...dataDirFlag, help: "the server's; it must be stopped" },
  to: { value: 'FILE', help: 'tar archive to write; it holds the key, so keep it as safe as the folder' },
} as const satisfies Record<string, Flag>
const restoreFlags = {
  'data-dir': { ...dataDirFlag, help: 'a new folder, or an empty one' },
  from: { value: 'FILE', help: 'tar archive of backup' },
} as const satisfies Record<string, Flag>

/** For the help of the program. */
export const backupHelp: string = `theazo-server backup               database, keys and files of agents in one file\n\n${flagTable(backupFlags)}`
export const restoreHelp: string = `theazo-server restore              a data folder, and files of agents, from that file\n\n${flagTable(restoreFlags)}`

const isRoot = process.getuid?.() === 0
/** Folders of the archive: that of the data, and as root that of agents' files, which lie outside of the data folder. */
const [dataMember, agentsMember] = ['data', 'agents'] as const

/** Writes a data folder, with the files of its agents, to an archive. */
export async function backup(args: readonly string[]): Promise<void> {
  const { dataDir, file } = read(readFlags(args, backupFlags, process.env), 'to', 'backup')
  const databasePath = join(dataDir, databaseName)
  if (!existsSync(databasePath)) throw new SetupError(`${dataDir} is not the data folder of a server`)
  const found = await stat(file).catch(() => undefined)
  if (found && !found.isFile()) throw new SetupError(`--to ${file} is there, and is not a file`)
  const partial = `${file}.partial`
  try {
    const lock = lockDataFolder(dataDir) // what changes while it is read would not fit together
    try {
      assertWhole(databasePath) // or the last good archive would be replaced by a damaged one
      await writePrivate(partial, file)
      await add(partial, '--create', dataDir, dataMember, [`--exclude=./${lockName}*`])
      if (isRoot) {
        await using agents = await openAgentsFolder(dataDir, join(await openBase(true), 'agents'))
        await unmountBelow(agents.path) // of a server that was killed
        await mkdir(agents.path, { recursive: true })
        await add(partial, '--append', agents.path, agentsMember, [])
      }
      await rename(partial, file)
    } finally {
      lock.close()
    }
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {}) // where it could not be made
    throw asSetupError(error, databasePath)
  }
  process.stdout.write(`${dataDir} is in ${file}, ${Math.ceil((await stat(file)).size / 1024 ** 2)} MiB.\n`)
}

/** Makes a data folder, with the files of its agents, from an archive. */
export async function restore(args: readonly string[]): Promise<void> {
  const { dataDir, file } = read(readFlags(args, restoreFlags, process.env), 'from', 'restore')
  const found = await stat(file).catch(() => undefined)
  if (!found) throw new SetupError(`there is no ${file}`)
  if (!found.isFile()) throw new SetupError(`--from ${file} is not a file`)
  const isNew = !existsSync(dataDir)
  try {
    await makeFolder(dataDir)
    if ((await readdir(dataDir)).length > 0) throw new SetupError(`${dataDir} is not empty: restore takes a new folder`)
    const members = await membersOf(file).catch((cause: Error) => {
      throw new SetupError(`${file} cannot be read as an archive of theazo-server backup: ${cause.message}`, { cause })
    })
    if (!members.includes(dataMember)) throw new SetupError(`${file} is not an archive of theazo-server backup`)
    if (members.includes(agentsMember) && !isRoot) {
      throw new SetupError(`${file} was made by root, whose agents have users of their own: restore it as root`)
    }
    const lock = lockDataFolder(dataDir)
    try {
      await extract(file, dataMember, dataDir)
      await renewInstanceId(dataDir) // the original may go on beside it
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
    if (isNew) await rmdir(dataDir).catch(() => {}) // where it could not be made
    throw asSetupError(error, join(dataDir, databaseName))
  }
  process.stdout.write(`${dataDir} is restored: theazo-server serve --data-dir ${dataDir}\n`)
}

/** @throws {SetupError} if SQLite finds a fault in it; SQLite's own error if it is no database. */
function assertWhole(path: string): void {
  const database = new DatabaseSync(path)
  try {
    const [row] = database.prepare('pragma quick_check(1)').all()
    const says = String(row?.['quick_check'])
    if (says !== 'ok') throw new SetupError(`The database ${path} is damaged, and was not backed up: ${says}`)
    database.prepare('select count(*) from sessions').get()
  } finally {
    database.close()
  }
}

/** @param file what it becomes, for the message. */
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

/** Disks are sparse files of some GiB. Users are kept by number: they have no names. */
const kept = ['--sparse', '--numeric-owner'] as const

async function add(file: string, how: '--create' | '--append', folder: string, member: string, more: string[]) {
  await tar([how, ...kept, `--file=${file}`, `--directory=${folder}`, `--transform=s,^\\.,${member},rSh`, ...more, '.'])
}

async function extract(file: string, member: string, folder: string): Promise<void> {
  const to = [`--file=${file}`, `--directory=${folder}`, '--strip-components=1', '--preserve-permissions']
  await tar(['--extract', ...kept, '--same-owner', ...to, member])
}

/** Its folders at the top. */
async function membersOf(file: string): Promise<string[]> {
  const listed = await tar(['--list', `--file=${file}`, '--exclude=*/*/*', '--exclude=*/?*'])
  return listed.split('\n').map((name) => name.replace(/\/$/, ''))
}

async function tar(args: string[]): Promise<string> {
  try {
    return await runTool('tar', args)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new SetupError(message.split('\n')[0] ?? '', { cause }) // it then says only that it gives up
  }
}
