import type {
  AgentStatus,
  CreateAgentBody,
  CreateAgentExtensions,
  ExecBody,
  ExecResult,
  Page,
  WireAgent,
} from '@theazo/core'
import { runCode } from '@theazo/core/tools'
import type { ComputeProvider, Sandbox } from '../compute/compute-provider.ts'
import { ApiError, SandboxEndedError, SandboxStartError } from '../errors.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { Database } from '../store/database.ts'
import type { AgentRow } from '../store/tables.ts'
import { type AgentEvent, agentEvents } from './agent-lifecycle.ts'
import { newAgentRow, toWireAgent } from './agent-rows.ts'
import { CapturedOutput } from './captured-output.ts'
import { idBefore, pageOf, type PageQuery } from './pages.ts'
import type { Sessions } from './sessions.ts'

/** Which agents of a session are listed. */
export interface AgentsQuery extends PageQuery {
  status?: AgentStatus | undefined
  name?: string | undefined
}

/** Bytes of each stream of an exec that are kept (contract, exec). */
const maxOutputBytes = 10 * 1024 * 1024

/** Built-in tools of the agent's own loop. */
const availableTools: readonly string[] = [runCode.name]

export interface AgentsOptions {
  database: Database
  sessions: Sessions
  compute: ComputeProvider
  /** Milliseconds after which an exec is killed and answered 504. */
  execTimeoutMs: number
}

/** The rules of agents. Each call sees only what belongs to the principal's project and mode. */
export class Agents {
  readonly #database: Database
  readonly #sessions: Sessions
  readonly #compute: ComputeProvider
  readonly #execTimeoutMs: number
  /** Sandboxes that are being made; whoever wants to use one waits. */
  readonly #booting = new Map<string, Promise<void>>()

  constructor({ database, sessions, compute, execTimeoutMs }: AgentsOptions) {
    this.#database = database
    this.#sessions = sessions
    this.#compute = compute
    this.#execTimeoutMs = execTimeoutMs
  }

  /** Settles what an earlier process of this server left half done. */
  async recover(): Promise<void> {
    await this.#database
      .updateTable('agents')
      .set({
        status: agentEvents.fail.to,
        reason: 'The server stopped while the sandbox was being made.',
        updated_at: Date.now(),
      })
      .where('status', '=', 'booting')
      .execute()
  }

  /** With a name that an agent of the session has already, answers that one: `isNew` is false then. */
  async create(
    principal: Principal,
    sessionId: string,
    body: CreateAgentBody & CreateAgentExtensions,
  ): Promise<{ agent: WireAgent; isNew: boolean }> {
    this.#assertCanGive(body)
    await this.#sessions.get(principal, sessionId)
    const { row, isNew } = await this.#insert(
      newAgentRow(sessionId, this.#compute.name, body.tools ?? availableTools, body),
    )
    if (isNew) {
      const boot = this.#boot(row.id)
      this.#booting.set(row.id, boot)
      await boot.finally(() => this.#booting.delete(row.id))
    } else {
      await this.#booting.get(row.id)
    }
    return { agent: toWireAgent(await this.#row(principal, row.id)), isNew }
  }

  /** Newest first. @throws {ApiError} 404 for the session. */
  async list(principal: Principal, sessionId: string, query: AgentsQuery): Promise<Page<WireAgent>> {
    await this.#sessions.get(principal, sessionId)
    const { status, name, limit } = query
    const rows = await this.#database
      .selectFrom('agents')
      .selectAll()
      .where('session_id', '=', sessionId)
      .where('id', '<', idBefore('agt', query))
      .$if(status !== undefined, (select) => select.where('status', '=', status ?? 'idle'))
      .$if(name !== undefined, (select) => select.where('name', '=', name ?? ''))
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute()
    return pageOf(rows, query, toWireAgent)
  }

  /** @throws {ApiError} 404. */
  async get(principal: Principal, id: string): Promise<WireAgent> {
    return toWireAgent(await this.#row(principal, id))
  }

  /**
   * Runs code and waits for its end.
   *
   * @param signal fires when the client is gone: the code is then killed.
   * @throws {ApiError} 404, 409 terminated or failed, 504 at the deadline, 502 where the sandbox cannot start.
   */
  async exec(principal: Principal, id: string, { lang, code }: ExecBody, signal: AbortSignal): Promise<ExecResult> {
    await this.#booting.get(id)?.catch(() => {}) // its row then says that it failed
    const sandbox = await this.#sandbox(await this.#row(principal, id))
    const [stdout, stderr] = [new CapturedOutput(maxOutputBytes), new CapturedOutput(maxOutputBytes)]
    const deadline = AbortSignal.timeout(this.#execTimeoutMs)
    try {
      const outcome = await sandbox.exec(
        { lang, code },
        { stdout: (chunk) => stdout.push(chunk), stderr: (chunk) => stderr.push(chunk) },
        AbortSignal.any([signal, deadline]),
      )
      return {
        stdout: stdout.text(),
        stderr: stderr.text(),
        ...outcome,
        ...(stdout.isTruncated && { stdoutTruncated: true }),
        ...(stderr.isTruncated && { stderrTruncated: true }),
      }
    } catch (error) {
      if (signal.aborted) throw error
      if (deadline.aborted) {
        const seconds = this.#execTimeoutMs / 1000
        throw new ApiError('timeout', `The code ran longer than ${seconds} s and was killed. The sandbox is kept.`)
      }
      const { status } = await this.#row(principal, id)
      if (status === 'terminated' || status === 'failed') {
        const details = { reason: 'interrupted' }
        throw new ApiError('conflict', `Agent ${id} was ${status} while the code ran.`, { details })
      }
      throw asApiError(error)
    }
  }

  /** Ends the agent; compute and files are gone. Again is fine. */
  async terminate(principal: Principal, id: string): Promise<void> {
    await this.#row(principal, id)
    // The row first: nothing that starts from here on finds an agent it may use.
    await this.#apply(id, 'terminate')
    const sandbox = await this.#compute.attach(id)
    await sandbox?.terminate()
  }

  /** Ends a session with all its agents. Again is fine. @throws {ApiError} 404. */
  async terminateSession(principal: Principal, sessionId: string): Promise<void> {
    // The session first: no agent can be added while its agents end.
    await this.#sessions.end(principal, sessionId)
    const agents = await this.#database
      .selectFrom('agents')
      .select('id')
      .where('session_id', '=', sessionId)
      .where('status', '!=', 'terminated')
      .execute()
    await Promise.all(agents.map(({ id }) => this.terminate(principal, id)))
  }

  /** One transaction with the look for the name, and for the session: racing calls agree. */
  async #insert(row: AgentRow): Promise<{ row: AgentRow; isNew: boolean }> {
    return await this.#database.transaction().execute(async (transaction) => {
      const { name, session_id: sessionId } = row
      const session = await transaction
        .selectFrom('sessions')
        .select('status')
        .where('id', '=', sessionId)
        .executeTakeFirstOrThrow()
      if (session.status === 'terminated') throw new ApiError('conflict', `Session ${sessionId} is terminated.`)
      const found =
        name === null
          ? undefined
          : await transaction
              .selectFrom('agents')
              .selectAll()
              .where('session_id', '=', sessionId)
              .where('name', '=', name)
              .where('status', 'not in', ['terminated', 'failed'])
              .executeTakeFirst()
      if (found) return { row: found, isNew: false }
      await transaction.insertInto('agents').values(row).execute()
      return { row, isNew: true }
    })
  }

  #assertCanGive({ compute, model, browser, tools }: CreateAgentBody): void {
    const fields: Record<string, string[]> = {}
    if (compute && compute.provider !== this.#compute.name) {
      fields['compute.provider'] = [
        `'${compute.provider}' is not configured on this server; it has '${this.#compute.name}'`,
      ]
    }
    if (model) fields['model.id'] = [`'${model.id}' is not configured on this server; it has no models`]
    if (browser) fields['browser'] = ['is not configured on this server; leave it out or give false']
    const unknown = tools?.filter((tool) => !availableTools.includes(tool)) ?? []
    if (unknown.length > 0) {
      fields['tools'] = [`${quoted(unknown)} not configured on this server; it has ${quoted(availableTools)}`]
    }
    if (Object.keys(fields).length > 0) throw ApiError.invalid(fields)
  }

  async #boot(id: string): Promise<void> {
    try {
      await this.#compute.create({ id })
    } catch (error) {
      await this.#apply(id, 'fail', error instanceof Error ? error.message : String(error))
      throw asApiError(error)
    }
    await this.#apply(id, 'ready')
  }

  async #row(principal: Principal, id: string): Promise<AgentRow> {
    const row = await this.#database
      .selectFrom('agents')
      .innerJoin('sessions', 'sessions.id', 'agents.session_id')
      .selectAll('agents')
      .where('agents.id', '=', id)
      .where('sessions.project', '=', principal.project)
      .where('sessions.mode', '=', principal.mode)
      .executeTakeFirst()
    if (!row) throw new ApiError('not_found', `There is no agent ${id}.`)
    return row
  }

  async #sandbox(row: AgentRow): Promise<Sandbox> {
    assertUsable(row)
    const sandbox = await this.#compute.attach(row.id)
    if (sandbox) return sandbox
    const reason = 'The sandbox and its files are gone.'
    await this.#apply(row.id, 'fail', reason)
    throw new ApiError('conflict', `Agent ${row.id} has failed: ${reason}`)
  }

  /** Moves the agent on where the event applies; elsewhere nothing happens. */
  async #apply(id: string, event: AgentEvent, reason: string | null = null): Promise<void> {
    const { from, to } = agentEvents[event]
    await this.#database
      .updateTable('agents')
      .set({ status: to, reason, updated_at: Date.now() })
      .where('id', '=', id)
      .where('status', 'in', from)
      .execute()
  }
}

function assertUsable({ id, status, reason }: AgentRow): void {
  if (status === 'terminated') throw new ApiError('conflict', `Agent ${id} is terminated; create another one.`)
  if (status === 'failed') throw new ApiError('conflict', `Agent ${id} has failed: ${reason} Create another one.`)
}

function asApiError(error: unknown): unknown {
  if (error instanceof SandboxStartError) return new ApiError('provider_error', error.message, { cause: error })
  if (error instanceof SandboxEndedError) {
    return new ApiError('provider_error', 'The server was shut down while the code ran.', { cause: error })
  }
  return error
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ')
}
