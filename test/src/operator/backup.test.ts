// A data folder is copied, moved, backed up and restored. Files of another server never change.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Theazo, type Agent } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const bin = join(root, 'packages/server/dist/bin.js')
const isRoot = process.getuid?.() === 0

let folder: string
let original: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-backup-'))
  original = join(folder, 'original')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** A server on a data folder, and its named agent. */
async function open(dataDir: string) {
  const local = await createLocalTheazo({ dataDir })
  const agent = await agentOf(local)
  return {
    agent,
    /** The content of the agent's file. */
    fileContent: async () => (await agent.exec('bash', 'cat file')).stdout,
    async [Symbol.asyncDispose]() {
      await agent.terminate() // otherwise its files would stay on the machine
      await local[Symbol.asyncDispose]()
    },
    close: () => local[Symbol.asyncDispose](),
  }
}
const agentOf = async (local: LocalTheazo): Promise<Agent> => {
  return await (await new Theazo(local).sessions.forUser('backup')).agents.create({ name: 'kept' })
}

async function makeOriginal(): Promise<string> {
  const { agent, close } = await open(original)
  await agent.exec('bash', 'echo precious > file; chmod 640 file; mkdir empty; ln -s file link; truncate -s 50M hole')
  await close()
  return agent.id
}

function server(command: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, command, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

test('a moved data folder still has the files of its agents', async () => {
  const id = await makeOriginal()
  const moved = join(folder, 'moved')
  renameSync(original, moved)
  await using there = await open(moved)
  expect([there.agent.id, await there.fileContent()]).toEqual([id, 'precious\n'])
})

describe.runIf(isRoot)('a copy of a data folder, as root', () => {
  test.each(['while the original runs', 'while the original does not run'])(
    'has none of its files, and ends none of its agents (%s)',
    async (when) => {
      const id = await makeOriginal()
      const running = when === 'while the original runs' ? await open(original) : undefined
      const copy = join(folder, 'copy')
      cpSync(original, copy, { recursive: true })
      {
        await using there = await open(copy)
        expect(there.agent.id).not.toBe(id) // the copied agent has failed, because its files are not in the copy
        expect(await there.fileContent()).toBe('')
      }
      await running?.close()
      await using still = await open(original)
      expect([still.agent.id, await still.fileContent()]).toEqual([id, 'precious\n'])
    },
  )

  test('takes over the files after the original has been removed', async () => {
    const id = await makeOriginal()
    const copy = join(folder, 'copy')
    cpSync(original, copy, { recursive: true })
    rmSync(original, { recursive: true })
    await using there = await open(copy)
    expect([there.agent.id, await there.fileContent()]).toEqual([id, 'precious\n'])
  })
})

test('backup and restore: database, key and files of agents, beside the original', async () => {
  const id = await makeOriginal()
  const [file, restored] = [join(folder, 'theazo.tar'), join(folder, 'restored')]
  expect(server('backup', '--data-dir', original, '--to', file)).toMatchObject({ status: 0, stderr: '' })
  expect([statSync(file).mode & 0o777, statSync(file).size < 20 * 1024 ** 2]).toEqual([0o600, true])
  expect(server('restore', '--data-dir', restored, '--from', file)).toMatchObject({ status: 0, stderr: '' })
  const look = 'cat file; stat -c %a file; readlink link; stat -c %s hole; ls -d empty'
  for (const dataDir of [restored, original]) {
    await using there = await open(dataDir)
    expect(there.agent.id).toBe(id)
    expect((await there.agent.exec('bash', look)).stdout).toBe('precious\n640\nfile\n52428800\nempty\n')
  } // the first agent is terminated before the second is checked
})

describe('these are refused with the reason, and leave no files:', () => {
  test('a backup of a folder that a server uses, or of a path that is not a data folder', async () => {
    const { close } = await open(original)
    const file = join(folder, 'theazo.tar')
    const inUse = server('backup', '--data-dir', original, '--to', file)
    expect(inUse).toMatchObject({ status: 1, stderr: expect.stringContaining('is in use by another server') })
    await close()
    const none = server('backup', '--data-dir', folder, '--to', file)
    expect(none).toMatchObject({ status: 1, stderr: expect.stringContaining('is not the data folder of a server') })
    const nowhere = server('backup', '--data-dir', original, '--to', join(folder, 'no/where.tar'))
    expect(nowhere).toMatchObject({ status: 1, stderr: expect.stringMatching(/^theazo-server: .*no such file/) })
    expect(readdirSync(folder)).toEqual(['original'])
    await using _ = await open(original)
  })

  test('a backup to a path that cannot be written', async () => {
    await makeOriginal()
    writeFileSync(join(folder, 'file'), 'mine')
    for (const to of ['no/where.tar', 'file/below.tar', 'x'.repeat(300)].map((name) => join(folder, name))) {
      const { status, stderr } = server('backup', '--data-dir', original, '--to', to)
      expect(status).toBe(1)
      expect(stderr).toMatch(/^theazo-server: --to .* cannot be written: E[A-Z]+: .*\n$/)
      expect(stderr).toContain(`--to ${to} cannot`)
    }
    expect(readdirSync(folder).toSorted()).toEqual(['file', 'original'])
    await using _ = await open(original)
  })

  test('a backup of a damaged database, or over something that is not a file: the previous archive stays', async () => {
    await makeOriginal()
    const [file, database] = [join(folder, 'theazo.tar'), join(original, 'theazo.db')]
    expect(server('backup', '--data-dir', original, '--to', file).status).toBe(0)
    const before = statSync(file)
    const whole = readFileSync(database)
    for (const damaged of [Buffer.from('no database at all'), whole.subarray(0, 100_000)]) {
      writeFileSync(database, damaged)
      const { status, stderr } = server('backup', '--data-dir', original, '--to', file)
      expect([status, stderr]).toEqual([1, expect.stringMatching(/^theazo-server: The database .*damaged/)])
    }
    expect([statSync(file).size, statSync(file).ino]).toEqual([before.size, before.ino])
    writeFileSync(database, whole)
    const device = server('backup', '--data-dir', original, '--to', folder)
    expect(device).toMatchObject({ status: 1, stderr: expect.stringContaining('exists and is not a file') })
    await using _ = await open(original)
  })

  test('a restore over an existing path, or from a file that is not a backup', async () => {
    const [full, file] = [join(folder, 'full'), join(folder, 'file')]
    mkdirSync(full)
    writeFileSync(join(full, 'mine'), 'mine')
    writeFileSync(file, 'no archive')
    const over = server('restore', '--data-dir', full, '--from', file)
    expect(over).toMatchObject({ status: 1, stderr: expect.stringContaining('is not empty') })
    for (const from of [file, join(folder, 'missing')]) {
      const { status, stderr } = server('restore', '--data-dir', join(folder, 'new'), '--from', from)
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(
          /^theazo-server: (.* cannot be read as an archive of theazo-server backup: tar: .*|--from .*: no such file)\n$/,
        ),
      ])
    }
    const fromFolder = server('restore', '--data-dir', join(folder, 'new'), '--from', full)
    expect(fromFolder).toMatchObject({ status: 1, stderr: `theazo-server: --from ${full} is not a file\n` })
    spawnSync('tar', ['-cf', join(folder, 'other.tar'), '-C', full, '.'])
    const other = server('restore', '--data-dir', join(folder, 'new'), '--from', join(folder, 'other.tar'))
    expect(other.stderr).toContain('is not an archive of theazo-server backup')
    expect([existsSync(join(full, 'mine')), existsSync(join(folder, 'new'))]).toEqual([true, false])
    expect(server('backup').stderr).toContain('backup needs --data-dir DIR and --to FILE')
  })
})
