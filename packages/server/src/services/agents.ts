import type { CreateAgentBody, ExecBody, ExecResult, WireAgent } from '@theazo/core'
import { runCode } from '@theazo/core/tools'
import type { ComputeProvider, Sandbox } from '../compute/compute-provider.ts'
import { ApiError, SandboxEndedError, SandboxStartError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { Database } from '../store/database.ts'
import type { AgentRow } from '../store/tables.ts'
import { type AgentEvent, agentEvents } from './agent-lifecycle.ts'
import { CapturedOutput } from './captured-output.ts'
import type { Sessions } from './sessions.ts'

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

  async create(principal: Principal, sessionId: string, body: CreateAgentBody): Promise<WireAgent> {
    this.#assertCanGive(body)
    const session = await this.#sessions.get(principal, sessionId)
    if (session.status === 'terminated') throw new ApiError('conflict', `Session ${sessionId} is terminated.`)
    const row = newRow(sessionId, this.#compute.name, body)
    await this.#database.insertInto('agents').values(row).execute()
    try {
      await this.#compute.create({ id: row.id })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      await this.#apply(row.id, 'fail', reason)
      throw asApiError(error)
    }
    await this.#apply(row.id, 'ready')
    return toWire(await this.#row(principal, row.id))
  }

  /** @throws {ApiError} 404. */
  async get(principal: Principal, id: string): Promise<WireAgent> {
    return toWire(await this.#row(principal, id))
  }

  /**
   * Runs code and waits for its end.
   *
   * @param signal fires when the client is gone: the code is then killed.
   * @throws {ApiError} 404, 409 terminated or failed, 504 at the deadline, 502 where the sandbox cannot start.
   */
  async exec(principal: Principal, id: string, { lang, code }: ExecBody, signal: AbortSignal): Promise<ExecResult> {
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

function newRow(sessionId: string, provider: string, body: CreateAgentBody): AgentRow {
  const now = Date.now()
  return {
    id: newId('agt'),
    session_id: sessionId,
    status: 'booting',
    reason: null,
    provider,
    instructions: body.instructions ?? null,
    tools: JSON.stringify(body.tools ?? availableTools),
    timeout_seconds: body.timeout ?? 300,
    created_at: now,
    updated_at: now,
  }
}

function toWire(row: AgentRow): WireAgent {
  return {
    id: row.id,
    sessionId: row.session_id,
    status: row.status,
    ...(row.reason !== null && { reason: row.reason }),
    compute: { provider: row.provider },
    model: null,
    browser: false,
    instructions: row.instructions,
    tools: JSON.parse(row.tools),
    timeout: row.timeout_seconds,
    task: null,
    createdAt: new Date(row.created_at).toISOString(),
    updatedAt: new Date(row.updated_at).toISOString(),
  }
}
