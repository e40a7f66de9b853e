import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { asSetupError } from '../as-setup-error.ts'
import { SetupError } from '../errors.ts'
import { ApiKeys, type KeyInfo } from '../keys/api-keys.ts'
import { plans } from '../keys/plan.ts'
import { scopes } from '../keys/scopes.ts'
import { makeFolder } from '../make-folder.ts'
import { databaseName, openDatabase } from '../store/database.ts'
import { type Flag, flagTable, type FlagValues, folderOf, type Given, oneOf, readFlags, wholeNumber } from './flags.ts'

const flags = {
  'data-dir': { value: 'DIR', env: 'THEAZO_DATA_DIR', help: 'data folder of the server, which may be running' },
  live: { help: 'create, this or --test is required: a key for real sandboxes' },
  test: { help: 'create, this or --live is required: a key for mocked answers' },
  plan: { value: 'NAME', help: `create, required: ${plans.join(', ')}` },
  project: { value: 'NAME', help: 'create: project whose data the key sees (default: default)' },
  rpm: { value: 'N', help: "create: requests per minute (default: the plan's)" },
  scopes: { value: 'A,B', help: `create: ${scopes.join(', ')} (default: all)` },
  json: { help: 'print JSON; create prints the key as apiKey' },
} as const satisfies Record<string, Flag>

/** Help text of `keys`. */
export const keysHelp: string = `theazo-server keys create          create an API key and show it once
theazo-server keys list            list all keys, without their secrets
theazo-server keys revoke ID       revoke a key, effective immediately\n\n${flagTable(flags)}`

type Name = keyof typeof flags
type Values = FlagValues<Name>

/** Subcommands, with the number of their arguments. */
const subcommands = [
  ['create', 0],
  ['list', 0],
  ['revoke', 1],
] as const

/** The `keys` command: creates, lists and revokes keys in a data folder. @throws {SetupError} */
export async function keys(args: readonly string[]): Promise<void> {
  const given = readFlags(args, flags, process.env)
  const { values, positionals } = given
  const [verb, ...rest] = positionals
  const dataDir = folderOf(given)
  if (dataDir === undefined) throw new SetupError('keys needs the data folder of the server: --data-dir DIR')
  const created = verb === 'create' ? creation(given) : undefined
  if (!subcommands.some(([name, count]) => name === verb && count === rest.length)) {
    throw new SetupError(`keys needs create, list or revoke ID, not ${positionals.join(' ') || 'nothing'}`)
  }
  try {
    // The first key may be created before the first start: without a key the server accepts no other machines.
    if (created) await makeFolder(resolve(dataDir))
    else await assertFolder(dataDir)
    await using opened = await openKeys(dataDir)
    const { apiKeys } = opened
    if (created) {
      const { key, ...info } = await apiKeys.create(created)
      return print(values, { apiKey: key, ...info }, createdText)
    }
    if (verb === 'list') return print(values, await apiKeys.list(), listText)
    await apiKeys.revoke(rest[0] ?? '')
    print(values, { ok: true }, () => `${rest[0]} is no longer accepted.`)
  } catch (error) {
    throw asSetupError(error, join(dataDir, databaseName))
  }
}

async function openKeys(dataDir: string): Promise<AsyncDisposable & { apiKeys: ApiKeys }> {
  const database = await openDatabase(join(dataDir, databaseName))
  return { apiKeys: new ApiKeys(database), [Symbol.asyncDispose]: () => database.destroy() }
}

function creation({ values, nameOf }: Given<Name>) {
  if ((values.live === undefined) === (values.test === undefined)) {
    throw new SetupError('keys create needs --live or --test')
  }
  const plan = oneOf(nameOf('plan'), values.plan, plans)
  if (!plan) throw new SetupError(`keys create needs --plan: ${plans.join(', ')}`)
  const { project } = values
  if (project !== undefined && !/^[\w.-]{1,64}$/.test(project)) {
    throw new SetupError(`--project must be 1 to 64 letters, digits, dots, dashes or underscores, not ${project}`)
  }
  return {
    mode: values.live === undefined ? ('test' as const) : ('live' as const),
    plan,
    project,
    rpm: wholeNumber(nameOf('rpm'), values.rpm, 1, 10_000_000),
    scopes: values.scopes?.split(',').flatMap((scope) => oneOf(nameOf('scopes'), scope.trim(), scopes) ?? []),
  }
}

/** Refuses a mistyped folder. @throws {SetupError} */
async function assertFolder(dataDir: string): Promise<void> {
  const found = await stat(join(dataDir, databaseName)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
  })
  if (found) return
  throw new SetupError(
    `${dataDir} is not the data folder of a server. Give another folder, or create a key or start a server there.`,
  )
}

function print<Value>(values: Values, value: Value, toText: (value: Value) => string): void {
  process.stdout.write(`${values.json === undefined ? toText(value) : JSON.stringify(value)}\n`)
}

function createdText(info: KeyInfo & { apiKey: string }): string {
  return `${line(info)}\n\n  export THEAZO_API_KEY=${info.apiKey}\n\nThe key is shown once and never stored: the server stores only its hash.`
}

function listText(infos: readonly KeyInfo[]): string {
  return infos.map(line).join('\n')
}

function line({ keyId, mode, project, plan, rpm, scopes: granted, isEmbedded, createdAt, revokedAt }: KeyInfo): string {
  const state = revokedAt === undefined ? (isEmbedded ? 'embedded' : `since ${createdAt}`) : `revoked ${revokedAt}`
  return `${keyId}  ${mode}  ${project}  ${plan}, ${rpm}/min  ${granted.join(',')}  ${state}`
}
