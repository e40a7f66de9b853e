import type { WireAgent } from '@theazo/core'
import { type Clock, endsWithin } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { EventLog } from '../events/event-log.ts'
import type { Principal } from '../keys/api-keys.ts'
import { exceeded, type SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import { changeAgent, failAgent } from './agent-changes.ts'
import { assertCan, assertLives, isOver } from './agent-lifecycle.ts'
import { type AgentRecord, agentRecord, findAgent, toWireAgent } from './agent-rows.ts'
import type { Executions } from './executions.ts'
import type { Runs } from './runs.ts'
import type { Sandboxes } from './sandboxes.ts'

/** What pauses need of the server. */
export interface PausesOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  sandboxes: Sandboxes
  executions: Executions
  runs: Runs
  clock: Clock
}

/** How long a pause waits for what runs (contract, pause). */
const pauseTimeoutMs = 120_000

/** Agents that stop for a while, because a caller or a cap says so, and go on (contract, pause and resume). */
export class Pauses {
  readonly #options: PausesOptions

  constructor(options: PausesOptions) {
    this.#options = options
  }

  /**
   * Waits for what runs in the agent, and then suspends it; nothing new begins meanwhile.
   *
   * @throws {ApiError} 404, 409, 504 where something runs on for too long: nothing is paused then.
   */
  async pause(principal: Principal, id: string): Promise<WireAgent> {
    const { database, sandboxes } = this.#options
    await sandboxes.ready(id)
    const agent = await findAgent(database, principal, id)
    assertLives(agent)
    assertCan('pause', agent)
    await this.#pause(agent)
    return toWireAgent(database, await findAgent(database, principal, id))
  }

  /**
   * The same for an agent that nobody uses.
   *
   * @param isStillDue is asked when nothing begins any more: if something has begun before, nothing is paused.
   */
  async pauseIdle(id: string, why: string, isStillDue: () => boolean): Promise<void> {
    const agent = await agentRecord(this.#options.database, id)
    if (agent && isStillDue()) await this.#pause(agent, why) // refuses new execs at once, before anything is waited for
  }

  async #pause(agent: AgentRecord, why?: string): Promise<void> {
    const { sandboxes, executions, runs, clock } = this.#options
    const { id } = agent
    const by = {}
    await executions.whilePausing(id, async (quiet) => {
      // Again once it is quiet: a run that was let in before has its loop then.
      const stopped = Promise.all([runs.suspend(id, by), quiet.then(() => runs.suspend(id, by))])
      if (!(await endsWithin(clock, pauseTimeoutMs, stopped))) {
        await runs.unsuspend(id, by)
        throw new ApiError('timeout', `What runs in ${id} did not end within 120 s. Nothing was paused.`)
      }
      const sandbox = await sandboxes.attach(agent)
      try {
        await sandbox?.pause()
        await this.#writePause(id, { why })
      } catch (error) {
        await sandbox?.resume()
        await runs.unsuspend(id, by)
        throw error
      }
    })
    this.#options.limits.settleSoon(agent.session_id)
  }

  /** Goes on where it was paused. @throws {ApiError} 404, 409 not paused, 402. */
  async resume(principal: Principal, id: string): Promise<WireAgent> {
    const { database, events, executions, limits, runs, sandboxes } = this.#options
    using _going = await executions.begin(id) // a pause that comes now waits until its loop is there
    const agent = await findAgent(database, principal, id)
    assertLives(agent)
    await limits.assertWithin(database, agent.session_id)
    assertCan('resume', agent)
    const sandbox = await sandboxes.attach(agent)
    await events.write(async (unit) => {
      const current = await findAgent(unit.db, principal, id)
      assertLives(current)
      await limits.assertWithin(unit.db, current.session_id)
      assertCan('resume', current)
      if (!sandbox) return await failAgent(unit, id)
      const taskId = await runs.goOn(unit, current)
      return await changeAgent(unit, id, taskId ? 'resumeRun' : 'resume', { taskId, keyId: principal.keyId })
    })
    await sandbox?.resume()
    limits.settleSoon(agent.session_id)
    const after = await findAgent(database, principal, id)
    assertLives(after)
    return toWireAgent(database, after)
  }

  /**
   * A cap of the session is reached: what its agents do is ended or paused (contract, Sessions). Resolves when no step
   * begins any more.
   */
  async pauseForLimit(sessionId: string, message: string): Promise<void> {
    const { database, executions, limits, runs, sandboxes } = this.#options
    const agents = await database
      .selectFrom('agents')
      .innerJoin('sessions', 'sessions.id', 'agents.session_id')
      .select(['agents.id', 'agents.network', 'sessions.mode', 'sessions.project'])
      .where('session_id', '=', sessionId)
      .where('agents.status', 'in', ['idle', 'running'])
      .execute()
    const pauses = agents.map(async (agent) => {
      const { id } = agent
      executions.stop(id, exceeded(message))
      await runs.suspend(id, limits)
      await this.#writePause(id, { limit: message })
      const sandbox = await sandboxes.attach(agent)
      await sandbox?.pause() // waits for what is being killed
    })
    // A step under way may take long; that none follows is settled above.
    void Promise.all(pauses).catch((error: unknown) => limits.settleAgain(sessionId, error))
  }

  async #writePause(id: string, { limit, why }: PauseCause): Promise<void> {
    const { events, runs } = this.#options
    await events.write(async (unit) => {
      const agent = await agentRecord(unit.db, id)
      if (!agent || (limit !== undefined && (agent.status === 'paused' || isOver(agent.status)))) return
      assertLives(agent)
      assertCan('pause', agent)
      const taskId = await runs.pauseTask(unit, agent, limit)
      const reason = limit === undefined ? {} : { reason: 'limit' as const }
      await changeAgent(unit, id, 'pause', { taskId, ...reason, ...(why !== undefined && { why }) })
    })
  }
}

/** What pauses an agent, if not a caller. */
interface PauseCause {
  /** The cap that was reached, as its session says it. */
  limit?: string
  /** Kept as the agent's reason. */
  why?: string | undefined
}
