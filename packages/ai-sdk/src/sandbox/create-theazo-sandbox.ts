import {
  type Agent,
  type CreateAgentOptions,
  type IdleTimeout,
  NotFoundError,
  NotSupportedError,
  type Session,
  Theazo,
} from '@theazo/core'
import { createIdleAgent } from '@theazo/core/pool'
import { configurationError } from '@theazo/core/tools'
import type { Experimental_SandboxSession as SandboxSession } from 'ai'
import { baseDirectory } from './base-directory.ts'
import { theazoSandbox } from './theazo-sandbox.ts'

/** The sandboxes of a provider: exactly one of `agent`, `session` and `userId`. */
export interface CreateTheazoSandboxOptions {
  /** Every session uses this agent. The provider never pauses or ends it. */
  agent?: Agent | undefined
  /** New agents are created in this session. */
  session?: Session | undefined
  /** New agents are created in the session of this user of yours. */
  userId?: string | undefined
  /** The client for `userId`. Default: `new Theazo()`, from THEAZO_API_KEY and THEAZO_BASE_URL. */
  client?: Theazo | undefined
  /**
   * Options of new agents, such as their network. Default of `idleTimeout`: after 30 minutes without use the server pauses
   * an agent with a name, and terminates one without. The end of this process changes nothing about that.
   */
  agentOptions?: Omit<CreateAgentOptions, 'name' | 'signal'> | undefined
}

/** A sandbox session that also controls the sandbox (`HarnessV1NetworkSandboxSession`). */
export type TheazoNetworkSession = SandboxSession & {
  /** The name of the sandbox, for `resumeSession`, or the id of its agent. */
  readonly id: string
  readonly agent: Agent
  readonly defaultWorkingDirectory: string
  /** Empty: a sandbox exposes no ports. */
  readonly ports: readonly number[]
  getPortEndpoint(options: { port: number }): Promise<never>
  getPortUrl(options: { port: number }): Promise<never>
  /** Pauses the sandbox: its files are kept. `resumeSession` resumes it. */
  stop(): Promise<void>
  /** Ends the sandbox and deletes its files. */
  destroy(): Promise<void>
  /** The session without control of the sandbox. */
  restricted(): SandboxSession
}

/** A sandbox provider of the AI SDK's harnesses (`HarnessV1SandboxProvider`). */
export interface TheazoSandboxProvider {
  readonly specificationVersion: 'harness-sandbox-v1'
  readonly providerId: 'theazo'
  createSession(options?: {
    /** The name of the sandbox. A sandbox of this name that exists is used again. */
    sessionId?: string
    abortSignal?: AbortSignal
    /** Called once for a sandbox that was created. If it fails, the sandbox is terminated, and `createSession` rejects. */
    onFirstCreate?: (session: SandboxSession, options: { abortSignal?: AbortSignal }) => Promise<void>
  }): Promise<TheazoNetworkSession>
  /** Finds a sandbox by its name or the id of its agent, and resumes it. */
  resumeSession(options: { sessionId: string; abortSignal?: AbortSignal }): Promise<TheazoNetworkSession>
}

/**
 * A sandbox provider for the AI SDK's harnesses. Each session is one agent.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given.
 * @example
 * ```ts
 * import { createTheazoSandbox } from '@theazo/ai-sdk/sandbox'
 *
 * const provider = createTheazoSandbox({ userId: 'user_123', client: theazo })
 * const sandbox = await provider.createSession({ sessionId: 'chat-7' })
 * await sandbox.run({ command: 'echo hello > note' })
 * await sandbox.stop()
 * const again = await provider.resumeSession({ sessionId: 'chat-7' })
 * console.log(await again.readTextFile({ path: 'note' }))
 * await again.destroy()
 * ```
 */
export function createTheazoSandbox(options: CreateTheazoSandboxOptions): TheazoSandboxProvider {
  const { agent, session, userId, client, agentOptions } = options
  const given = [agent, session, userId].filter((each) => each !== undefined)
  if (given.length !== 1) {
    throw configurationError('Give exactly one of agent, session and userId.')
  }
  const sessionOf = async (signal: AbortSignal | undefined): Promise<Session> => {
    return session ?? (await (client ?? new Theazo()).sessions.forUser(userId ?? '', { signal }))
  }
  return {
    specificationVersion: 'harness-sandbox-v1',
    providerId: 'theazo',
    async createSession({ sessionId, abortSignal: signal, onFirstCreate } = {}) {
      signal?.throwIfAborted()
      if (agent) return networkSession(agent, agent.id, false)
      const { agents } = await sessionOf(signal)
      const created = await createIdleAgent(
        agents,
        { ...agentOptions, name: sessionId, signal },
        idleTimeout(sessionId),
      )
      if (!created.isNew) await resumeIfPaused(created, signal)
      const sandbox = networkSession(created, sessionId ?? created.id, true)
      if (!created.isNew) return sandbox
      try {
        await onFirstCreate?.(sandbox.restricted(), signal ? { abortSignal: signal } : {})
      } catch (error) {
        // The next call would find a sandbox of this name, and would not prepare it again.
        await created.terminate().catch(() => {})
        throw error
      }
      return sandbox
    },
    async resumeSession({ sessionId, abortSignal: signal }) {
      signal?.throwIfAborted()
      if (agent) return networkSession(agent, agent.id, false)
      const found = await findAgent((await sessionOf(signal)).agents.list({ limit: 100, signal }), sessionId)
      await resumeIfPaused(found, signal)
      return networkSession(found, sessionId, true)
    },
  }
}

/** A sandbox with a name can be resumed, so that its files are kept. Nobody finds one without a name again. */
function idleTimeout(name: string | undefined): IdleTimeout {
  return { seconds: 1800, action: name === undefined ? 'terminate' : 'pause' }
}

/** The agent of this name or id that has not ended. */
async function findAgent(agents: AsyncIterable<Agent>, nameOrId: string): Promise<Agent> {
  for await (const agent of agents) {
    const { name, status } = agent.data
    if ((name === nameOrId || agent.id === nameOrId) && status !== 'terminated' && status !== 'failed') return agent
  }
  throw new NotFoundError(`There is no sandbox '${nameOrId}'.`, { code: 'not_found', status: 404 })
}

async function resumeIfPaused(agent: Agent, signal: AbortSignal | undefined): Promise<void> {
  if (agent.data.status === 'paused') await agent.resume({ signal })
}

function networkSession(agent: Agent, id: string, isOwned: boolean): TheazoNetworkSession {
  let isDestroyed = false
  return {
    ...theazoSandbox(agent),
    id,
    agent,
    defaultWorkingDirectory: baseDirectory,
    ports: [],
    getPortEndpoint: noPorts,
    getPortUrl: noPorts,
    async stop() {
      if (!isOwned || isDestroyed) return
      const { status } = (await agent.refresh()).data
      if (status === 'idle' || status === 'running') await agent.pause()
    },
    async destroy() {
      if (!isOwned) return
      isDestroyed = true
      await agent.terminate()
    },
    restricted: () => theazoSandbox(agent),
  }
}

async function noPorts(): Promise<never> {
  throw new NotSupportedError('A Theazo sandbox exposes no ports.', { code: 'not_supported' })
}
