import { parseArgs } from 'node:util'
import { selectTools, type ToolGroup, toolGroups } from '@theazo/core/tools'

/** What the command line says. */
export interface Flags {
  /** Print this and do nothing else. */
  show: 'help' | 'version' | undefined
  isLocal: boolean
  userId: string | undefined
  /** Name of a sandbox that outlives the process. */
  sandboxName: string | undefined
  groups: readonly ToolGroup[] | 'all' | undefined
  isReadOnly: boolean
  hasImages: boolean
  idleTimeoutSeconds: number
}

const [minIdleSeconds, maxIdleSeconds, defaultIdleSeconds] = [60, 604_800, 1800]
const maxNameChars = 128
const groupNames = Object.keys(toolGroups) as ToolGroup[] // its own keys

/** The text of --help. */
export const usage: string = `theazo-mcp   an MCP server over stdio: a safe computer for your MCP client

  --local                 run the sandboxes on this machine, without an account
  --user-id NAME          whose Theazo session is used          (default: THEAZO_USER_ID, or mcp)
  --sandbox NAME          a sandbox with a name: it is paused at the end, and the next process
                          that is started with the same name and user has its files
                          (default: a new sandbox, which is terminated at the end)
  --toolsets LIST         groups of tools, separated by commas, or all   (default: code,files)
                          ${groupNames.join(', ')}
  --read-only             offer only the tools that change nothing
  --no-images             name images in the text and do not send them
  --idle-timeout SECONDS  the server ends the sandbox after so long without use, also if this
                          process is killed; with --sandbox it pauses it
                          (${minIdleSeconds} to ${maxIdleSeconds}, default ${defaultIdleSeconds})
  --version               print the version
  --help                  print this

Without --local it uses the Theazo API: set THEAZO_API_KEY, and THEAZO_BASE_URL for a server of your own.`

const options = {
  local: { type: 'boolean' },
  'user-id': { type: 'string' },
  sandbox: { type: 'string' },
  toolsets: { type: 'string' },
  'read-only': { type: 'boolean' },
  'no-images': { type: 'boolean' },
  'idle-timeout': { type: 'string' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** Reads the command line. @throws {Error} with one line that names the flag and what it takes. */
export function parseFlags(argv: readonly string[]): Flags {
  const values = parsed(argv)
  if (values.local && values.sandbox !== undefined) {
    throw new Error('--sandbox needs a server that outlives this process: it cannot be combined with --local.')
  }
  const groups = toolsets(values.toolsets)
  const isReadOnly = values['read-only'] ?? false
  if (selectTools({ groups, readOnly: isReadOnly }).length === 0) {
    throw new Error('--read-only leaves no tool of these --toolsets. Add files, for example.')
  }
  return {
    show: values.help ? 'help' : values.version ? 'version' : undefined,
    isLocal: values.local ?? false,
    userId: name('--user-id', values['user-id'], 256),
    sandboxName: name('--sandbox', values.sandbox, maxNameChars),
    groups,
    isReadOnly,
    hasImages: !values['no-images'],
    idleTimeoutSeconds: idleSeconds(values['idle-timeout']),
  }
}

function parsed(argv: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof options }>>['values'] {
  try {
    return parseArgs({ args: Array.from(argv), options }).values
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    // Node explains at length how its own parser works; the first sentence says what is wrong.
    const [fault = ''] = error.message.split(/\. |\n/)
    const flag = /^Option '(--[\w-]+).*(?:missing|ambiguous)/.exec(fault)?.[1]
    const text = flag === undefined ? fault : `${flag} needs a value`
    throw new Error(`${text.replace(/\.$/, '')}. See theazo-mcp --help.`, { cause: error })
  }
}

function name(flag: string, value: string | undefined, maxChars: number): string | undefined {
  if (value === undefined || (value.trim() !== '' && value.length <= maxChars)) return value
  throw new Error(`${flag} needs a name of 1 to ${maxChars} characters.`)
}

function toolsets(list: string | undefined): readonly ToolGroup[] | 'all' | undefined {
  if (list === undefined) return undefined
  const names = list.split(',').map((name) => name.trim())
  const unknown = names.filter((name) => name !== 'all' && !groupNames.includes(name as ToolGroup))
  if (unknown.length > 0) {
    const shown = unknown.map((name) => `'${name}'`).join(', ')
    throw new Error(`--toolsets has no group ${shown}. There are ${groupNames.join(', ')}, and all.`)
  }
  return names.includes('all') ? 'all' : (names as ToolGroup[]) // checked above
}

function idleSeconds(text: string | undefined): number {
  if (text === undefined) return defaultIdleSeconds
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (seconds >= minIdleSeconds && seconds <= maxIdleSeconds) return seconds
  throw new Error(`--idle-timeout needs whole seconds from ${minIdleSeconds} to ${maxIdleSeconds}, not '${text}'.`)
}
