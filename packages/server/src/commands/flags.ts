import { parseArgs } from 'node:util'
import { SetupError } from '../errors.ts'

/** One option of a command. */
export interface Flag {
  /** Placeholder of the value in the help; absent for a switch. */
  value?: string
  /** Environment variable that is read if the flag is absent. */
  env?: string
  /** The flag may be repeated: its values are joined with commas. */
  isList?: true
  help: string
}

/** Values of the options, by name. */
export type FlagValues<Name extends string> = Partial<Record<Name, string>>

/** The parsed command line and environment of a command. */
export interface Given<Name extends string> {
  values: FlagValues<Name>
  /** The source of an option's value, for messages: `--port`, or the name of its variable. */
  nameOf: (name: Name) => string
  positionals: string[]
}

/** Reads a command's options. A flag takes precedence over its environment variable. @throws {SetupError} */
export function readFlags<Name extends string>(
  args: readonly string[],
  flags: Record<Name, Flag>,
  environment: NodeJS.ProcessEnv,
): Given<Name> {
  const names = Object.keys(flags) as Name[]
  const options = Object.fromEntries(
    names.map((name) => {
      const type = flags[name].value ? ('string' as const) : ('boolean' as const)
      return [name, { type, multiple: flags[name].isList ?? false }]
    }),
  )
  const parsed = parse(args, options)
  const values: FlagValues<Name> = {}
  for (const name of names) {
    const { env } = flags[name]
    const given = parsed.values[name]
    const value = given === undefined ? env && environment[env] : String(given)
    if (value !== undefined && !(flags[name].value === undefined && (value === '' || value === '0'))) {
      values[name] = value
    }
  }
  const nameOf = (name: Name): string => {
    const isVariable = parsed.values[name] === undefined && values[name] !== undefined
    return (isVariable && flags[name].env) || `--${name}`
  }
  return { values, nameOf, positionals: parsed.positionals }
}

/** The table of a command's options, for its help. */
export function flagTable(flags: Record<string, Flag>): string {
  const rows = Object.entries(flags).map(([name, { value, env, help }]) => {
    const flag = `  --${name}${value ? ` ${value}` : ''}`
    return `${flag.padEnd(34)}${help}${env ? ` [${env}]` : ''}`
  })
  return rows.join('\n')
}

/** Parses a whole number. @param name the result of `nameOf`. @throws {SetupError} with that name. */
export function wholeNumber(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= min && number <= max) return number
  throw new SetupError(`${name} must be a number from ${min} to ${max}, not ${text}`)
}

/** Parses one of a few words. @param name the result of `nameOf`. @throws {SetupError} with that name. */
export function oneOf<Word extends string>(
  name: string,
  text: string | undefined,
  words: readonly Word[],
): Word | undefined {
  const found = words.find((word) => word === text)
  if (text !== undefined && found === undefined) {
    throw new SetupError(`${name} must be one of ${words.join(', ')}, not ${text}`)
  }
  return found
}

/** The folder of `--data-dir`. @throws {SetupError} if it is empty, e.g. because a shell variable is unset. */
export function folderOf({ values, nameOf }: Given<'data-dir'>): string | undefined {
  if (values['data-dir'] === '') throw new SetupError(`${nameOf('data-dir')} must be a folder, not an empty text`)
  return values['data-dir']
}

function parse(args: readonly string[], options: Record<string, { type: 'string' | 'boolean' }>) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (cause) {
    throw new SetupError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
