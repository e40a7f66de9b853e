import type {
  AgentStatus,
  AgentStatusInfo,
  CreateAgentBody,
  CreateAgentExtensions,
  IdleTimeout,
  Page,
  WireAgent,
} from '@theazo/core'
import { sql } from 'kysely'
import type { Clock } from '../clock.ts'
import { ApiError, asApiError } from '../errors.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import { type Database, isTransient } from '../store/database.ts'
import type { AgentRow, Mode } from '../store/tables.ts'
import { changeAgent } from './agent-changes.ts'
import { overStatuses } from './agent-lifecycle.ts'
import { type AgentCapabilities, assertSupported } from './agent-capabilities.ts'
import {
  type AgentRecord,
  agentRecord,
  findAgent,
  newAgentRow,
  readAgent,
  selectAgent,
  toWireAgent,
  toWireAgents,
  wireAgentText,
} from './agent-rows.ts'
import { agentStatusInfo } from './agent-status-info.ts'
import type { AgentActivity } from './agent-activity.ts'
import type { IdleClocks } from './idle-clocks.ts'
import { idBefore, type PageQuery, readPage } from './pages.ts'
import { assertSameAgent } from './same-agent.ts'
import type { ProjectStore } from './project-store.ts'
import type { Runs } from './runs.ts'
import type { SandboxOwner, Sandboxes } from './sandboxes.ts'
import { assertNetworkAllowed, type NetworkBounds } from './network-policy.ts'
import { findSession } from './sessions.ts'

/** Filter and page of a list of agents. */
export interface AgentsQuery extends PageQuery {
  status?: AgentStatus | undefined
  name?: string | undefined
}

/** The parts of the server that {@link Agents} uses. */
export interface AgentsOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  store: ProjectStore
  sandboxes: Sandboxes
  activity: AgentActivity
  idleClocks: IdleClocks
  runs: Runs
  network: NetworkBounds
  capabilities: Record<Mode, AgentCapabilities>
  /** Idle timeout of agents that are created without one. */
  idleTimeout: IdleTimeout | undefined
  clock: Clock
  onError: (error: unknown) => void
}

/** Characters of an agent and its latest task in fields that callers fill. */
const storedSize = sql<number>`coalesce(length(agents.metadata), 0) + coalesce(length(instructions), 0)
  + length(tools) + coalesce(length(network), 0) + coalesce(length(prompt), 0) + coalesce(length(output), 0)`

/** The rules of agents. Each call sees only what belongs to the principal's project and mode. */
export class Agents {
  readonly #options: AgentsOptions

  constructor(options: AgentsOptions) {
    this.#options = options
  }

  /**
   * Creates an agent and its sandbox. If an agent of the session has the name already, returns that agent, and `isNew` is
   * false.
   *
   * @param id a reserved id for the new agent; if an agent with this id exists, it is returned.
   * @throws {ApiError} 422, 404, 409 if the session is terminated or the agent with the name differs from the request,
   *   402, 502 if no sandbox can be created.
   */
  async create(
    principal: Principal,
    sessionId: string,
    body: CreateAgentBody & CreateAgentExtensions,
    id?: string,
  ): Promise<{ agent: WireAgent; isNew: boolean }> {
    const { database, limits, sandboxes, network, idleTimeout, clock } = this.#options
    const supported = this.#options.capabilities[principal.mode]
    assertSupported(supported, body)
    if (principal.mode === 'live') assertNetworkAllowed(network, sandboxes.of('live'), body)
    const provider = body.compute?.provider ?? supported.providers[0] ?? ''
    const tools = body.tools ?? supported.defaultTools
    const session = await findSession(database, principal, sessionId)
    const withTimeout = { ...body, idleTimeout: body.idleTimeout ?? idleTimeout }
    const input = { id, session, keyId: principal.keyId, provider, tools, body: withTimeout, now: clock.now() }
    const { row, isNew, isToBoot } = await this.#insert(principal, newAgentRow(input), body)
    if (isToBoot)
      await sandboxes.boot(row.id, () => this.#boot({ ...row, mode: principal.mode, project: principal.project }))
    else await sandboxes.ready(row.id)
    limits.scheduleEnforcement(sessionId)
    return { agent: this.get(principal, row.id), isNew }
  }

  /** Lists agents, newest first. @throws {ApiError} 404 for the session. */
  async list(principal: Principal, sessionId: string, query: AgentsQuery): Promise<Page<WireAgent>> {
    const { database } = this.#options
    await findSession(database, principal, sessionId)
    const { status, name, limit } = query
    const found = await database
      .selectFrom('agents')
      .leftJoin('tasks', 'tasks.id', 'agents.task_id')
      .select(['agents.id', storedSize.as('size')])
      .where('agents.session_id', '=', sessionId)
      .where('agents.id', '<', idBefore('agt', query))
      .$if(status !== undefined, (select) => select.where('agents.status', '=', status ?? 'idle'))
      .$if(name !== undefined, (select) => select.where('agents.name', '=', name ?? ''))
      .orderBy('agents.id', 'desc')
      .limit(limit + 1)
      .execute()
    return await readPage(found, limit, async (ids) => {
      const wanted = database.selectFrom('agents').selectAll().where('id', 'in', ids)
      return await toWireAgents(database, await wanted.orderBy('id', 'desc').execute())
    })
  }

  /** @throws {ApiError} 404. */
  get(principal: Principal, id: string): WireAgent {
    const { database } = this.#options
    return toWireAgent(database, readAgent(database, principal, id))
  }

  /** The JSON of {@link get}, which is cached: clients poll it. @throws {ApiError} 404. */
  getText(principal: Principal, id: string): string {
    const { database } = this.#options
    return wireAgentText(database, readAgent(database, principal, id))
  }

  /** The status in the format of the official SDK. @throws {ApiError} 404. */
  async status(principal: Principal, id: string): Promise<AgentStatusInfo> {
    const { database, clock } = this.#options
    return await agentStatusInfo(database, await findAgent(database, principal, id), clock.now())
  }

  /** Terminates the agent and removes its sandbox and files. May be repeated. @throws {ApiError} 404. */
  async terminate(principal: Principal, id: string): Promise<void> {
    const { database, events, limits } = this.#options
    const agent = await findAgent(database, principal, id)
    // The row first: no later call can use the agent.
    await events.write((unit) => this.#terminate(unit, agent))
    limits.scheduleEnforcement(agent.session_id)
    await this.#release(agent)
  }

  /**
   * Terminates an agent because of its idle timeout. Calls that arrive during this wait, and then find the agent
   * terminated, or unchanged if the store could not write.
   *
   * @param isStillDue called after new calls are held back; if it returns false, a use has begun and nothing is
   *   terminated.
   */
  async terminateIdle(id: string, reason: string, isStillDue: () => boolean): Promise<void> {
    const { database, events, activity, limits } = this.#options
    const agent = await agentRecord(database, id)
    if (!agent) return
    const isTerminated = await activity.whileHeld(id, async () => {
      if (!isStillDue()) return false
      await events.write((unit) => this.#terminate(unit, agent, reason))
      return true
    })
    if (!isTerminated) return
    limits.scheduleEnforcement(agent.session_id)
    await this.#release(agent)
  }

  /** Terminates a session and all its agents in one transaction. May be repeated. @throws {ApiError} 404. */
  async terminateSession(principal: Principal, sessionId: string): Promise<void> {
    const { events, limits } = this.#options
    const agents = await events.write(async (unit) => {
      await findSession(unit.db, principal, sessionId)
      const status = 'terminated'
      await unit.db
        .updateTable('sessions')
        .set({ status, updated_at: unit.now })
        .where('id', '=', sessionId)
        .where('status', '!=', status)
        .execute()
      const living = await selectAgent(unit.db)
        .where('agents.session_id', '=', sessionId)
        .where('agents.status', '!=', status)
        .execute()
      for (const agent of living) await this.#terminate(unit, agent)
      return living
    })
    limits.scheduleEnforcement(sessionId)
    await Promise.all(agents.map((agent) => this.#release(agent)))
  }

  async #terminate(unit: UnitOfWork, agent: AgentRecord, agentReason?: string): Promise<void> {
    const { activity, runs } = this.#options
    await runs.terminateTask(unit, agent)
    await changeAgent(unit, agent.id, 'terminate', agentReason === undefined ? {} : { agentReason })
    const details = { reason: 'interrupted' }
    const ended = new ApiError('conflict', `Agent ${agent.id} was terminated while the code ran.`, { details })
    unit.afterCommit(() => activity.stop(agent.id, ended))
  }

  async #release(agent: AgentRecord): Promise<void> {
    const { sandboxes } = this.#options
    await sandboxes.ready(agent.id)
    const sandbox = await sandboxes.attach(agent)
    await sandbox?.terminate()
  }

  /** Checks the name, the caps and the session, and inserts the row, in one transaction: concurrent calls agree. */
  async #insert(principal: Principal, row: AgentRow, body: CreateAgentBody & CreateAgentExtensions): Promise<Inserted> {
    const { events, limits, store, idleClocks } = this.#options
    const { id, name, session_id: sessionId } = row
    return await events.write(async (unit) => {
      const session = await findSession(unit.db, principal, sessionId)
      const found = await unit.db
        .selectFrom('agents')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where((where) =>
          where.or([
            where('id', '=', id),
            ...(name === null ? [] : [where.and([where('name', '=', name), where('status', 'not in', overStatuses)])]),
          ]),
        )
        .executeTakeFirst()
      // A retry after a crash. If the crash came while the sandbox was created, the status of the agent is `failed`.
      if (found?.id === id) return { row: found, isNew: true, isToBoot: false }
      if (session.status === 'terminated')
        throw new ApiError('conflict', `Session ${sessionId} is terminated. Create another session.`)
      if (found) {
        assertSameAgent(found, body)
        return { row: found, isNew: false, isToBoot: false }
      }
      await limits.assertWithin(unit.db, sessionId)
      await limits.assertRoom(unit, session)
      await store.assertRoom(unit.db, principal.project)
      await unit.db.insertInto('agents').values(row).execute()
      unit.afterCommit(() => idleClocks.watch(row))
      return { row, isNew: true, isToBoot: true }
    })
  }

  async #boot(owner: SandboxOwner): Promise<void> {
    const { events, sandboxes, onError } = this.#options
    const { id } = owner
    try {
      const sandbox = await sandboxes.create(owner)
      const ready = events.write((unit) => changeAgent(unit, id, 'ready'))
      const isReady = await ready.catch(async (error: unknown) => {
        await sandbox.terminate()
        throw error
      })
      // The agent was terminated during the boot. That call waits for this one, and then removes the sandbox.
      if (!isReady) await sandbox.terminate()
    } catch (error) {
      const agentReason = error instanceof Error ? error.message : String(error)
      const failed = events.writeWithRetries((unit) => changeAgent(unit, id, 'fail', { agentReason }))
      if (isTransient(error)) void failed.catch(onError)
      else await failed
      throw asApiError(error)
    }
  }
}

interface Inserted {
  row: AgentRow
  /** False if another call created the agent. */
  isNew: boolean
  /** True if its sandbox must still be created. */
  isToBoot: boolean
}
