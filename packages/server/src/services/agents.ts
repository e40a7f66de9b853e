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
import type { EventLog, Unit } from '../events/event-log.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import { type Database, isPassing } from '../store/database.ts'
import type { AgentRow } from '../store/tables.ts'
import { changeAgent } from './agent-changes.ts'
import { overStatuses } from './agent-lifecycle.ts'
import { assertOffered, offers } from './agent-offer.ts'
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
import type { Executions } from './executions.ts'
import type { IdleClocks } from './idle-clocks.ts'
import { idBefore, type PageQuery, readPage } from './pages.ts'
import { assertSameAgent } from './named-agent.ts'
import type { ProjectStore } from './project-store.ts'
import type { Runs } from './runs.ts'
import type { SandboxOwner, Sandboxes } from './sandboxes.ts'
import { assertNetworkOffered, type NetworkOffer } from './network-offer.ts'
import { findSession } from './sessions.ts'

/** Which agents of a session are listed. */
export interface AgentsQuery extends PageQuery {
  status?: AgentStatus | undefined
  name?: string | undefined
}

/** What agents need of the server. */
export interface AgentsOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  store: ProjectStore
  sandboxes: Sandboxes
  executions: Executions
  idleClocks: IdleClocks
  runs: Runs
  network: NetworkOffer
  /** Of agents that are created without one. */
  idleTimeout: IdleTimeout | undefined
  clock: Clock
  onError: (error: unknown) => void
}

/** Characters of an agent and its latest task that grow with what callers store. */
const storedSize = sql<number>`coalesce(length(agents.metadata), 0) + coalesce(length(instructions), 0)
  + length(tools) + coalesce(length(network), 0) + coalesce(length(prompt), 0) + coalesce(length(output), 0)`

/** The rules of agents. Each call sees only what belongs to the principal's project and mode. */
export class Agents {
  readonly #options: AgentsOptions

  constructor(options: AgentsOptions) {
    this.#options = options
  }

  /**
   * With a name that an agent of the session has already, answers that one: `isNew` is false then. It is 409 if what is
   * asked for differs from it.
   *
   * @param id of the new agent, where the caller has reserved one; one that was made under it before is answered.
   * @throws {ApiError} 422, 404, 409 where the session is terminated, 402, 502 where no sandbox can be had.
   */
  async create(
    principal: Principal,
    sessionId: string,
    body: CreateAgentBody & CreateAgentExtensions,
    id?: string,
  ): Promise<{ agent: WireAgent; isNew: boolean }> {
    const { database, limits, sandboxes, network, idleTimeout, clock } = this.#options
    const offer = offers[principal.mode]
    assertOffered(offer, body)
    if (principal.mode === 'live') assertNetworkOffered(network, sandboxes.of('live'), body)
    const provider = body.compute?.provider ?? offer.providers[0] ?? ''
    const tools = body.tools ?? offer.defaultTools
    const session = await findSession(database, principal, sessionId)
    const withTimeout = { ...body, idleTimeout: body.idleTimeout ?? idleTimeout }
    const made = { id, session, keyId: principal.keyId, provider, tools, body: withTimeout, now: clock.now() }
    const { row, isNew, isToBoot } = await this.#insert(principal, newAgentRow(made), body)
    if (isToBoot)
      await sandboxes.boot(row.id, () => this.#boot({ ...row, mode: principal.mode, project: principal.project }))
    else await sandboxes.ready(row.id)
    limits.settleSoon(sessionId)
    return { agent: this.get(principal, row.id), isNew }
  }

  /** Newest first. @throws {ApiError} 404 for the session. */
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

  /** The same as the text of its JSON: many ask for it again and again. @throws {ApiError} 404. */
  getText(principal: Principal, id: string): string {
    const { database } = this.#options
    return wireAgentText(database, readAgent(database, principal, id))
  }

  /** What the official SDK asks for. @throws {ApiError} 404. */
  async status(principal: Principal, id: string): Promise<AgentStatusInfo> {
    const { database, clock } = this.#options
    return await agentStatusInfo(database, await findAgent(database, principal, id), clock.now())
  }

  /** Ends the agent; compute and files are gone. Again is fine. @throws {ApiError} 404. */
  async terminate(principal: Principal, id: string): Promise<void> {
    const { database, events, limits } = this.#options
    const agent = await findAgent(database, principal, id)
    // The row first: nothing that starts from here on finds an agent it may use.
    await events.write((unit) => this.#terminate(unit, agent))
    limits.settleSoon(agent.session_id)
    await this.#release(agent)
  }

  /**
   * The same for an agent that nobody uses. What begins in it meanwhile waits, and finds it terminated; or as it was, if
   * the store could not write.
   *
   * @param isStillDue is asked when nothing begins any more: if something has begun before, nothing is terminated.
   */
  async terminateIdle(id: string, why: string, isStillDue: () => boolean): Promise<void> {
    const { database, events, executions, limits } = this.#options
    const agent = await agentRecord(database, id)
    if (!agent) return
    const isTerminated = await executions.whileHeld(id, async () => {
      if (!isStillDue()) return false
      await events.write((unit) => this.#terminate(unit, agent, why))
      return true
    })
    if (!isTerminated) return
    limits.settleSoon(agent.session_id)
    await this.#release(agent)
  }

  /** Ends a session with all its agents, at once. Again is fine. @throws {ApiError} 404. */
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
    limits.settleSoon(sessionId)
    await Promise.all(agents.map((agent) => this.#release(agent)))
  }

  async #terminate(unit: Unit, agent: AgentRecord, why?: string): Promise<void> {
    const { executions, runs } = this.#options
    await runs.terminateTask(unit, agent)
    await changeAgent(unit, agent.id, 'terminate', why === undefined ? {} : { why })
    const details = { reason: 'interrupted' }
    const ended = new ApiError('conflict', `Agent ${agent.id} was terminated while the code ran.`, { details })
    unit.afterwards(() => executions.stop(agent.id, ended))
  }

  async #release(agent: AgentRecord): Promise<void> {
    const { sandboxes } = this.#options
    await sandboxes.ready(agent.id)
    const sandbox = await sandboxes.attach(agent)
    await sandbox?.terminate()
  }

  /** One transaction with the look for the name, for room, and for the session: racing calls agree. */
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
      // The same request again, after a crash; where that came while the sandbox was made, the agent says so.
      if (found?.id === id) return { row: found, isNew: true, isToBoot: false }
      if (session.status === 'terminated') throw new ApiError('conflict', `Session ${sessionId} is terminated.`)
      if (found) {
        assertSameAgent(found, body)
        return { row: found, isNew: false, isToBoot: false }
      }
      await limits.assertWithin(unit.db, sessionId)
      await limits.assertRoom(unit, session)
      await store.assertRoom(unit.db, principal.project)
      await unit.db.insertInto('agents').values(row).execute()
      unit.afterwards(() => idleClocks.watch(row))
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
      // Ended meanwhile: whoever ended it waits for this, and then removes the sandbox.
      if (!isReady) await sandbox.terminate()
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const failed = events.writeSurely((unit) => changeAgent(unit, id, 'fail', { why }))
      if (isPassing(error)) void failed.catch(onError)
      else await failed
      throw asApiError(error)
    }
  }
}

interface Inserted {
  row: AgentRow
  /** Not one that another call has made. */
  isNew: boolean
  /** Its sandbox is still to be made. */
  isToBoot: boolean
}
