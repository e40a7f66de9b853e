import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { selectTools, type ToolGroup, toolGroups, type ToolName } from '@theazo/core/tools'
import { answerSecondsBounds } from '../calls/answer-seconds.ts'
import { type HttpFlags, httpOptions, httpUsage, parseHttpFlags } from './http-flags.ts'
import { oauthOptions } from './oauth-flags.ts'
import { type Protocol, protocols } from '../protocol.ts'
import { idleSecondsBounds } from '../session-pool.ts'
import { parseWholeNumber } from './whole-number.ts'

/** The parsed command line. */
export interface Flags {
  /** Check the settings instead of serving. */
  isDoctor: boolean
  /** Settings of the HTTP server; undefined for stdio. */
  http: HttpFlags | undefined
  /** The text to print instead of serving. */
  show: 'help' | 'version' | undefined
  isLocal: boolean
  userId: string | undefined
  /** Name of the sandbox, if it outlives the process. */
  sandboxName: string | undefined
  groups: readonly ToolGroup[] | 'all' | undefined
  isReadOnly: boolean
  hasImages: boolean
  /** Tools that need the approval of the user. */
  approve: readonly ToolName[]
  idleTimeoutSeconds: number
  /** The longest time until a tool call answers. */
  answerSeconds: number
  protocol: Protocol
}

const maxUserIdChars = 256
const maxSandboxNameChars = 128
const groupNames = Object.keys(toolGroups) as ToolGroup[] // the keys of a Record<ToolGroup, …>
/** The names that --toolsets accepts: the groups of the catalog, and two short names. */
const toolsets: Readonly<Record<string, readonly ToolGroup[]>> = {
  ...Object.fromEntries(groupNames.map((name) => [name, [name]])),
  tasks: ['task', 'background-tasks'],
  agents: ['lifecycle'],
}
const toolsetNames = [...Object.keys(toolsets), 'all'].join(', ')

/** The text of --help. */
export const usage: string = `theazo-mcp        MCP server over stdio: an isolated sandbox for your MCP client
theazo-mcp http   the same over Streamable HTTP: one sandbox for each MCP session
theazo-mcp doctor check the settings, the Theazo API, and that a sandbox runs code

  --local                 run the sandboxes on this machine, without an account
  --user-id NAME          the user whose Theazo session is used   (default: THEAZO_USER_ID, or mcp)
  --sandbox NAME          use a named sandbox: it is paused when this process ends, and the next
                          process with the same name and user continues with its files
                          (default: a new sandbox, terminated when this process ends)
  --toolsets LIST         groups of tools, separated by commas, or all   (default: code,files)
                          ${Object.keys(toolsets).join(', ')};
                          tasks is task and background-tasks, agents is lifecycle
  --read-only             offer only tools that change nothing
  --approve LIST          tools, separated by commas, that run only after the user has approved the call
  --no-images             do not send images; name them in the text
  --idle-timeout SECONDS  terminate the sandbox (with --sandbox: pause it) after this time without
                          use; the server does this even if this process is killed
                          (${idleSecondsBounds.min} to ${idleSecondsBounds.max}, default ${idleSecondsBounds.default})
  --answer-within SECONDS answer a longer call with its output so far; the tool wait returns the rest
                          (${answerSecondsBounds.min} to ${answerSecondsBounds.max}, default ${answerSecondsBounds.default})
  --protocol VERSION      2025-11-25: the versions of MCP up to this one; 2026-07-28: this version
                          auto: what the client asks for; over HTTP 2026-07-28 only with --auth oauth,
                          because all clients of a user then share one sandbox   (default)
${httpUsage}
  --version               print the version
  -h, --help              print this help

Without --local this program uses the Theazo API. Set THEAZO_API_KEY. To use your own server, set
THEAZO_BASE_URL as well.`

const options = {
  local: { type: 'boolean' },
  'user-id': { type: 'string' },
  sandbox: { type: 'string' },
  toolsets: { type: 'string' },
  'read-only': { type: 'boolean' },
  'no-images': { type: 'boolean' },
  approve: { type: 'string' },
  'idle-timeout': { type: 'string' },
  'answer-within': { type: 'string' },
  protocol: { type: 'string' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/**
 * Parses the command line.
 *
 * @throws {Error} for an invalid flag. The message is one line that names the flag and its valid values.
 */
export function parseFlags(argv: readonly string[], environment: NodeJS.ProcessEnv = {}): Flags {
  const [command] = argv
  const isHttp = command === 'http'
  const isDoctor = command === 'doctor'
  const values = parseValues(
    argv.slice(isHttp || isDoctor ? 1 : 0),
    isHttp ? { ...options, ...httpOptions, ...oauthOptions } : options,
  )
  if (values.local && values.sandbox !== undefined) {
    throw new Error(
      '--sandbox cannot be combined with --local: the local server and its sandboxes end with this process.',
    )
  }
  const groups = parseToolsets(values.toolsets)
  const isReadOnly = values['read-only'] ?? false
  if (selectTools({ groups, readOnly: isReadOnly }).length === 0) {
    throw new Error(
      '--read-only leaves no tool in these --toolsets. Add a group with read-only tools, for example files.',
    )
  }
  const idleTimeoutSeconds = parseWholeNumber('--idle-timeout', values['idle-timeout'], idleSecondsBounds, 'seconds')
  const answerSeconds = parseWholeNumber('--answer-within', values['answer-within'], answerSecondsBounds, 'seconds')
  const isLocal = values.local ?? false
  const show = values.help ? 'help' : values.version ? 'version' : undefined
  if (isHttp && idleTimeoutSeconds <= answerSeconds) {
    throw new Error(`--idle-timeout must be longer than --answer-within, which is ${answerSeconds}.`)
  }
  return {
    isDoctor,
    // --help must answer although a combination of flags is invalid.
    http:
      isHttp && show === undefined
        ? parseHttpFlags(values, { isLocal, token: environment['THEAZO_MCP_TOKEN'] })
        : undefined,
    show,
    isLocal,
    userId: checkName('--user-id', values['user-id'], maxUserIdChars),
    sandboxName: checkName('--sandbox', values.sandbox, maxSandboxNameChars),
    groups,
    isReadOnly,
    hasImages: !values['no-images'],
    approve: parseToolNames(values.approve),
    idleTimeoutSeconds,
    answerSeconds,
    protocol: parseProtocol(values.protocol),
  }
}

type Values = ReturnType<
  typeof parseArgs<{ options: typeof options & typeof httpOptions & typeof oauthOptions }>
>['values']

function parseValues(argv: readonly string[], options: ParseArgsOptionsConfig): Partial<Values> {
  try {
    return parseArgs({ args: Array.from(argv), options }).values
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    // The first sentence of Node's message names the problem; the rest explains Node's parser.
    const [problem = ''] = error.message.split(/\. |\n/)
    const flag = /^Option '(--[\w-]+).*(?:missing|ambiguous)/.exec(problem)?.[1]
    const text = flag === undefined ? problem : `${flag} needs a value`
    throw new Error(`${text.replace(/\.$/, '')}. See theazo-mcp --help.`, { cause: error })
  }
}

function checkName(flag: string, value: string | undefined, maxChars: number): string | undefined {
  if (value === undefined || (value.trim() !== '' && value.length <= maxChars)) return value
  throw new Error(`${flag} needs a name of 1 to ${maxChars} characters.`)
}

function parseToolsets(list: string | undefined): readonly ToolGroup[] | 'all' | undefined {
  if (list === undefined) return undefined
  const names = list.split(',').map((name) => name.trim())
  const unknown = names.filter((name) => name !== 'all' && !Object.hasOwn(toolsets, name))
  if (unknown.length > 0) {
    const shown = unknown.map((name) => `'${name}'`).join(', ')
    throw new Error(`--toolsets has no group ${shown}. Valid: ${toolsetNames}.`)
  }
  return names.includes('all') ? 'all' : [...new Set(names.flatMap((name) => toolsets[name] ?? []))]
}

function parseToolNames(list: string | undefined): readonly ToolName[] {
  if (list === undefined) return []
  const names = list.split(',').map((name) => name.trim())
  const known: readonly string[] = selectTools({ groups: 'all' }).map(({ name }) => name)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length === 0) return names as ToolName[] // checked above
  throw new Error(`--approve has no tool ${unknown.map((name) => `'${name}'`).join(', ')}. Valid: ${known.join(', ')}.`)
}

function parseProtocol(name: string | undefined): Protocol {
  const protocol = protocols.find((known) => known === (name ?? 'auto'))
  if (protocol) return protocol
  throw new Error(`--protocol must be ${protocols.join(', ')}, not '${name}'.`)
}
