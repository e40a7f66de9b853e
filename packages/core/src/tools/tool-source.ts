import type { Agent } from '../agent.ts'
import { Theazo } from '../client.ts'
import { configurationError } from '../errors.ts'
import type { SandboxPool } from '../pool/sandbox-pool.ts'
import { Session } from '../sessions.ts'
import { isThenable } from '../transport/is-thenable.ts'
import type { Transport } from '../transport/transport.ts'
import { transportOf } from '../transport/transport-of.ts'
import { Usage } from '../usage.ts'
import { keyOfSession, keyOfUser, sharedPool, toolPool, type OnDispose } from './tool-pool.ts'
import type { SandboxSource, ToolAccount, ToolSandbox } from './tool-sandbox.ts'

/** Options of an adapter that select the sandbox of its tools: exactly one of `agent`, `session` and `userId`. */
export interface ToolSourceOptions {
  /**
   * A sandbox, or a function that returns one for each call. The adapter never terminates it; the model can, if it has the
   * tool `terminate_agent`.
   */
  agent?: SandboxSource | undefined
  /** A session. Its tools share one sandbox, which is created at the first call. */
  session?: Session | undefined
  /** The id of your user. The tools share one sandbox in that user's session, which is created at the first call. */
  userId?: string | undefined
  /** The client for `userId` and `sandbox`. Default: `new Theazo()`, from THEAZO_API_KEY and THEAZO_BASE_URL. */
  client?: Theazo | undefined
  /**
   * The pool for the sandboxes of `userId` and `sandbox`. You set its options and dispose it. Default: one pool for each
   * client. Its sandboxes have names, and the server terminates them 30 minutes after their last use.
   */
  pool?: SandboxPool | undefined
}

/** Identifies the sandbox of a call: a user, and a name if the user has several, e.g. the id of a chat thread. */
export interface SandboxKey {
  /** The id of your user, whose session pays for the sandbox. */
  userId: string
  /** At most 120 characters. Default: the user's one sandbox. */
  name?: string | undefined
}

/** Options of {@link ToolSources}: exactly one of `agent`, `session`, `userId` and `sandbox`. */
export interface ToolSourcesOptions<Config> extends ToolSourceOptions {
  /**
   * Returns the key of a call's sandbox from the config of the run. A string is the id of a user. Calls with the same key
   * share one sandbox, which is created at the first call.
   */
  sandbox?: ((config: Config) => string | SandboxKey) | undefined
  /**
   * What `dispose` does with the sandboxes that these tools have created. `terminate`, `pause` and `leave` as in the
   * `onRelease` of a {@link SandboxPool}. Default: `dispose` does nothing, and all tools of the client share their
   * sandboxes.
   */
  onDispose?: OnDispose | undefined
}

/** The options that an adapter passes to every tool call. */
export interface ToolSource {
  sandbox: SandboxSource
  account: () => Promise<ToolAccount | undefined>
  /**
   * Pauses or terminates the sandbox if no call uses it now. It creates none. Undefined for a sandbox of the caller.
   *
   * @returns false if there is no sandbox, or if it is in use.
   */
  endIfUnused?: (action: 'pause' | 'terminate') => Promise<boolean>
}

/**
 * Turns the options of an adapter into a sandbox source for its tool calls. It makes no request before the first call, and
 * concurrent calls create one sandbox.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given, or without an API key.
 * @example
 * ```ts
 * import { runCode, toolSource } from '@theazo/core/tools'
 *
 * const source = toolSource({ userId: 'user_123', client: theazo })
 * const { text } = await runCode.run({ language: 'bash', code: 'ls' }, source)
 * ```
 */
export function toolSource(options: ToolSourceOptions = {}): ToolSource {
  return new ToolSources<undefined>(options).of(undefined)
}

/**
 * The sandboxes of an adapter's tools, by the config of each run. It makes no request before the first call, and
 * concurrent calls with the same key create one sandbox.
 *
 * @example
 * ```ts
 * import { runCode, ToolSources } from '@theazo/core/tools'
 *
 * await using sources = new ToolSources({
 *   client: theazo,
 *   sandbox: (config: { thread: string }) => ({ userId: 'user_123', name: config.thread }),
 *   onDispose: 'terminate',
 * })
 * const { text } = await runCode.run({ language: 'bash', code: 'ls' }, sources.of({ thread: 'thread_1' }))
 * ```
 */
export class ToolSources<Config = unknown> implements AsyncDisposable {
  /** The source of a call with this config. @throws {ConfigurationError} if the function `sandbox` returns no valid key. */
  readonly of: (config: Config) => ToolSource
  #ownPool: SandboxPool | undefined
  #isDisposed = false

  /**
   * @throws {ConfigurationError} if not exactly one of `agent`, `session`, `userId` and `sandbox` is given, or without an
   *   API key.
   */
  constructor(options: ToolSourcesOptions<Config> = {}) {
    assertOptions(options)
    const { agent, session, userId, sandbox } = options
    if (agent !== undefined) {
      const source = { sandbox: agent, account: () => accountOfAgent(agent) }
      this.of = () => source
    } else if (session !== undefined) {
      const source = this.#ofSession(session, options)
      this.of = () => source
    } else {
      const theazo = options.client ?? (defaultClient ??= new Theazo())
      const transport = requireTransport(transportOf(theazo), 'client')
      const keyOf = sandbox ?? (() => userId)
      if (!sandbox) checkedKey(userId, options) // an invalid id is reported now, not at the first call
      this.of = (config) => this.#ofKey(checkedKey(keyOf(config), options), transport, options)
    }
  }

  /** Ends the sandboxes as `onDispose` specifies, and refuses later calls. @throws {AggregateError} if some did not end. */
  async dispose(): Promise<void> {
    this.#isDisposed = true
    await this.#ownPool?.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  #ofSession(session: Session, options: ToolSourcesOptions<Config>): ToolSource {
    const transport = requireTransport(transportOf(session), 'session')
    const pool = this.#poolOf(transport, options)
    const key = keyOfSession(session.id)
    return {
      sandbox: pool.source(key),
      account: async () => accountOf(transport, session),
      endIfUnused: (action) => pool.endIfUnused(key, action),
    }
  }

  #ofKey({ userId, name }: SandboxKey, transport: Transport, options: ToolSourcesOptions<Config>): ToolSource {
    const { pool } = options
    const used = pool ?? this.#poolOf(transport, options)
    const key = pool ? userId : keyOfUser(userId, name)
    return {
      sandbox: used.source(key),
      account: async () => accountOf(transport, await used.session(key)),
      endIfUnused: (action) => used.endIfUnused(key, action),
    }
  }

  #poolOf(transport: Transport, { onDispose }: ToolSourcesOptions<Config>): SandboxPool {
    if (onDispose === undefined) return sharedPool(transport)
    if (this.#isDisposed) throw configurationError('These tools are disposed: create others.')
    return (this.#ownPool ??= toolPool(transport, onDispose))
  }
}

function assertOptions<Config>({ agent, session, userId, sandbox, pool, onDispose }: ToolSourcesOptions<Config>): void {
  const given = Object.entries({ agent, session, userId, sandbox }).filter(([, value]) => value !== undefined)
  if (given.length !== 1) {
    const names = given.map(([name]) => name).join(' and ')
    throw configurationError(`Give exactly one of agent, session, userId and sandbox, not ${names || 'none'}.`)
  }
  if (agent !== undefined) assertSandbox(agent)
  if (sandbox !== undefined && typeof sandbox !== 'function') {
    throw configurationError('sandbox must be a function that returns a key from the config of the run.')
  }
  if (pool && userId === undefined && sandbox === undefined) {
    throw configurationError('pool is valid only with userId or sandbox.')
  }
  if (onDispose !== undefined && (agent !== undefined || pool)) {
    const owner = pool ? 'pool' : 'agent'
    throw configurationError(`onDispose is not valid with ${owner}: its sandboxes are yours to end.`)
  }
}

/** Bounded, because it becomes a part of the agent's name. */
const maxNameChars = 120

function checkedKey(key: unknown, { sandbox, pool }: { sandbox?: unknown; pool?: unknown }): SandboxKey {
  const option = sandbox === undefined ? 'userId' : 'the key that sandbox returns'
  if (isThenable(key)) {
    Promise.resolve(key).catch(() => {}) // its error would end the process, before this one explains the fault
    throw configurationError('sandbox must return a key, not a promise: put what it needs into the config of the run.')
  }
  const { userId, name } = typeof key === 'object' && key !== null ? (key as Partial<SandboxKey>) : { userId: key }
  if (typeof userId !== 'string' || userId === '') {
    const field = typeof key === 'object' && key !== null ? `userId in ${option}` : option
    throw configurationError(`${field} must be a string that is not empty, not ${described(userId)}.`)
  }
  if (name === undefined) return { userId }
  if (typeof name !== 'string' || name === '' || name.length > maxNameChars) {
    throw configurationError(`name in ${option} must be a string of 1 to ${maxNameChars} characters.`)
  }
  if (pool) throw configurationError(`With pool, ${option} must be a string: the key of the pool.`)
  return { userId, name }
}

/** The kind of a value, never its content. */
function described(value: unknown): string {
  return value === '' ? 'an empty one' : value === null ? 'null' : typeof value
}

/** Untyped callers may pass an id, a promise or a pool. Without this check, only the model would see the error. */
function assertSandbox(agent: unknown): void {
  if (typeof agent === 'function') return
  if (typeof agent === 'object' && agent !== null && 'exec' in agent && typeof agent.exec === 'function') return
  const given = Object.prototype.toString.call(agent).slice(8, -1)
  throw configurationError(
    `agent must be an agent, or a function that returns one, not ${given}. ` +
      'Await a promise; for a pool pass pool.source(key); for an id pass client.agent(id).',
  )
}

let defaultClient: Theazo | undefined

/** The account of an agent of this client; undefined for other kinds of sandboxes, which have no session. */
async function accountOfAgent(source: SandboxSource): Promise<ToolAccount | undefined> {
  const agent: ToolSandbox = typeof source === 'function' ? await source() : source
  const transport = transportOf(agent)
  if (!transport) return undefined
  const { data } = await (agent as Agent).refresh() // only agents of the client have a transport
  return accountOf(transport, new Session(transport, data.sessionId))
}

function accountOf(transport: Transport, session: Session): ToolAccount {
  return { usage: new Usage(transport), session }
}

function requireTransport(transport: Transport | undefined, option: string): Transport {
  if (transport) return transport
  throw configurationError(
    `${option} must come from this copy of @theazo/core. Check whether the package is installed twice.`,
  )
}
