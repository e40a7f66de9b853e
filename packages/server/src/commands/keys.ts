import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SetupError } from '../errors.ts'
import { ApiKeys, type KeyInfo } from '../keys/api-keys.ts'
import { plans } from '../keys/plan.ts'
import { scopes } from '../keys/scopes.ts'
import { databaseName, openDatabase } from '../store/database.ts'
import { type Flag, flagTable, type FlagValues, folderOf, oneOf, readFlags, wholeNumber } from './flags.ts'

const flags = {
  'data-dir': { value: 'DIR', env: 'THEAZO_DATA_DIR', help: "the server's; it may be running" },
  live: { help: 'create: a key for real sandboxes' },
  test: { help: 'create: a key for mocked answers' },
  plan: { value: 'NAME', help: `create: ${plans.join(', ')}` },
  project: { value: 'NAME', help: 'create: whose data it sees (default: default)' },
  rpm: { value: 'N', help: "create: requests a minute (default: the plan's)" },
  scopes: { value: 'A,B', help: `create: ${scopes.join(', ')} (default: all)` },
  json: { help: 'print JSON' },
} as const satisfies Record<string, Flag>

/** For the help of the program. */
export const keysHelp: string = `theazo-server keys create          a new API key; it is shown once
theazo-server keys list            all keys, without the keys themselves
theazo-server keys revoke ID       a key is accepted no more, at once\n\n${flagTable(flags)}`

type Values = FlagValues<keyof typeof flags>

/** What it does, and how many words follow. */
const takes = [
  ['create', 0],
  ['list', 0],
  ['revoke', 1],
] as const

/** Makes, lists and revokes keys in a data folder. */
export async function keys(args: readonly string[]): Promise<void> {
  const { values, positionals } = readFlags(args, flags, process.env)
  const [verb, ...rest] = positionals
  const dataDir = folderOf(values['data-dir'])
  if (dataDir === undefined) throw new SetupError('keys needs the data folder of the server: --data-dir DIR')
  const created = verb === 'create' ? creation(values) : undefined
  if (!takes.some(([name, count]) => name === verb && count === rest.length)) {
    throw new SetupError(`keys takes create, list, or revoke ID, not ${positionals.join(' ') || 'nothing'}`)
  }
  const database = await openDatabase(created ? await newDatabase(dataDir) : await knownDatabase(dataDir))
  try {
    const apiKeys = new ApiKeys(database)
    if (created) return print(values, await apiKeys.create(created), createdText)
    if (verb === 'list') return print(values, await apiKeys.list(), listText)
    await apiKeys.revoke(rest[0] ?? '')
    print(values, { ok: true }, () => `${rest[0]} is accepted no more.`)
  } finally {
    await database.destroy()
  }
}

function creation(values: Values) {
  if ((values.live === undefined) === (values.test === undefined)) {
    throw new SetupError('keys create needs --live or --test')
  }
  const plan = oneOf('plan', values.plan, plans)
  if (!plan) throw new SetupError(`keys create needs --plan: ${plans.join(', ')}`)
  const { project } = values
  if (project !== undefined && !/^[\w.-]{1,64}$/.test(project)) {
    throw new SetupError(`--project is 1 to 64 letters, digits, dots, dashes or underscores, not ${project}`)
  }
  return {
    mode: values.live === undefined ? ('test' as const) : ('live' as const),
    plan,
    project,
    rpm: wholeNumber('rpm', values.rpm, 1, 10_000_000),
    scopes: values.scopes?.split(',').flatMap((scope) => oneOf('scopes', scope.trim(), scopes) ?? []),
  }
}

/** The first key may come before the first start: without one a server lets nobody else connect. */
async function newDatabase(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SetupError(`The data folder cannot be used: ${reason}. Give another one with --data-dir.`, { cause })
  }
  return join(dataDir, databaseName)
}

/** Only of a folder that is one: a mistyped one has no keys. */
async function knownDatabase(dataDir: string): Promise<string> {
  const path = join(dataDir, databaseName)
  if (await stat(path).catch(() => undefined)) return path
  throw new SetupError(`${dataDir} is not the data folder of a server: name another, or make a key or start one there.`)
}

function print<Value>(values: Values, value: Value, toText: (value: Value) => string): void {
  process.stdout.write(`${values.json === undefined ? toText(value) : JSON.stringify(value)}\n`)
}

function createdText(info: KeyInfo & { key: string }): string {
  return `${line(info)}\n\n  export THEAZO_API_KEY=${info.key}\n\nIt is shown this once and kept nowhere: only its hash is.`
}

function listText(infos: readonly KeyInfo[]): string {
  return infos.map(line).join('\n')
}

function line({ keyId, mode, project, plan, rpm, scopes: held, isEmbedded, createdAt, revokedAt }: KeyInfo): string {
  const state = revokedAt === undefined ? (isEmbedded ? 'embedded' : `since ${createdAt}`) : `revoked ${revokedAt}`
  return `${keyId}  ${mode}  ${project}  ${plan}, ${rpm}/min  ${held.join(',')}  ${state}`
}
