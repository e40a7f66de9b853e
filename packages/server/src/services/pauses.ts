import type { WireAgent } from '@theazo/core'
import { type Clock, endsWithin } from '../clock.ts'
import type { Sandbox } from '../compute/compute-provider.ts'
import { ApiError } from '../errors.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import type { Principal } from '../keys/api-keys.ts'
import { exceeded, type SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import { changeAgent, type ChangeDetails, failAgent } from './agent-changes.ts'
import { assertCan, assertNotEnded, isOver } from './agent-lifecycle.ts'
import { type AgentRecord, agentRecord, findAgent, toWireAgent } from './agent-rows.ts'
import type { AgentActivity } from './agent-activity.ts'
import type { ApprovalAnswer, PauseReason, SuspensionCause } from './approvals.ts'
import type { Runs } from './runs.ts'
import type { Sandboxes } from './sandboxes.ts'
import type { TaskWorker } from './task-worker.ts'

/** The parts of the server that {@link Pauses} uses. */
export interface PausesOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  sandboxes: Sandboxes
  activity: AgentActivity
  runs: Runs
  worker: TaskWorker
  clock: Clock
}

/** How long a pause waits for execs and for the step of a task (contract, pause). */
const pauseTimeoutMs = 120_000

/** Pauses and resumes agents, for callers, idle timeouts and caps (contract, pause and resume). */
export class Pauses {
  readonly #options: PausesOptions

  constructor(options: PausesOptions) {
    this.#options = options
  }

  /**
   * Waits for the agent's execs and the step of its task, and then pauses it. Refuses new calls during this.
   *
   * @throws {ApiError} 404, 409, 504 if they do not end in time; the agent is not paused then.
   */
  async pause(principal: Principal, id: string): Promise<WireAgent> {
    const { database, sandboxes } = this.#options
    await sandboxes.ready(id)
    const agent = await findAgent(database, principal, id)
    assertNotEnded(agent)
    assertCan('pause', agent)
    await this.#pause(agent)
    return toWireAgent(database, await findAgent(database, principal, id))
  }

  /**
   * Pauses an agent because of its idle timeout.
   *
   * @param isStillDue called directly before new calls are refused; if it returns false, a use has begun and the agent is
   *   not paused.
   */
  async pauseIdle(id: string, why: string, isStillDue: () => boolean): Promise<void> {
    const agent = await agentRecord(this.#options.database, id)
    if (agent && isStillDue()) await this.#pause(agent, { why }) // refuses new execs before its first await
  }

  /** Pauses an agent whose task has suspended itself. Does nothing if the task does not run by then. */
  async pauseSuspended(id: string, taskId: string, cause: SuspensionCause): Promise<void> {
    const agent = await agentRecord(this.#options.database, id)
    if (agent?.status !== 'running' || agent.task_id !== taskId) return
    const why = 'limit' in cause ? {} : { why: `A call of ${cause.toolCall.tool} waits for an approval.` }
    await this.#pause(agent, { ...cause, ...why, taskId, isRetried: true })
  }

  async #pause(agent: AgentRecord, cause: PauseCause = {}): Promise<void> {
    const { sandboxes, activity, worker, clock } = this.#options
    const { id } = agent
    const by = {}
    await activity.whilePausing(id, async (quiet) => {
      // Suspend again when no call is active: a run that was accepted before has started its loop by then.
      const stopped = Promise.all([worker.suspend(id, by), quiet.then(() => worker.suspend(id, by))])
      if (!(await endsWithin(clock, pauseTimeoutMs, stopped))) {
        worker.unsuspend(id, by)
        throw new ApiError(
          'timeout',
          `The running code or task of agent ${id} did not end within 120 s. The agent was not paused.`,
        )
      }
      let sandbox: Sandbox | undefined
      try {
        sandbox = await sandboxes.attach(agent)
        await sandbox?.pause()
        await this.#writePause(id, cause)
      } catch (error) {
        await sandbox?.resume()
        worker.unsuspend(id, by)
        throw error
      }
    })
    this.#options.limits.scheduleEnforcement(agent.session_id)
  }

  /**
   * Resumes the agent and its task.
   *
   * @param answer the answer to a call that waits for an approval.
   * @throws {ApiError} 404; 409 not paused, or a call waits for an approval and `answer` is absent; 402.
   */
  async resume(principal: Principal, id: string, answer?: ApprovalAnswer): Promise<WireAgent> {
    const { database, events, activity, limits, runs, sandboxes } = this.#options
    using _call = await activity.begin(id) // a pause that arrives now waits until the loop has started
    const agent = await findAgent(database, principal, id)
    assertNotEnded(agent)
    await limits.assertWithin(database, agent.session_id)
    assertCan('resume', agent)
    const sandbox = await sandboxes.attach(agent)
    await events.write(async (unit) => {
      const current = await findAgent(unit.db, principal, id)
      assertNotEnded(current)
      await limits.assertWithin(unit.db, current.session_id)
      assertCan('resume', current)
      if (!sandbox) return await failAgent(unit, id)
      const taskId = await runs.resumeTask(unit, current, answer)
      return await changeAgent(unit, id, taskId ? 'resumeRun' : 'resume', { taskId, keyId: principal.keyId })
    })
    await sandbox?.resume()
    limits.scheduleEnforcement(agent.session_id)
    const after = await findAgent(database, principal, id)
    assertNotEnded(after)
    return toWireAgent(database, after)
  }

  /**
   * Ends execs and pauses the tasks and agents of a session that has reached a cap (contract, Sessions). Resolves when no
   * further step can begin.
   */
  async pauseForLimit(sessionId: string, message: string): Promise<void> {
    const { database, activity, limits, sandboxes } = this.#options
    const agents = await database
      .selectFrom('agents')
      .innerJoin('sessions', 'sessions.id', 'agents.session_id')
      .select(['agents.id', 'agents.network', 'sessions.mode', 'sessions.project'])
      .where('session_id', '=', sessionId)
      .where('agents.status', 'in', ['idle', 'running'])
      .execute()
    const pauses = agents.map(async (agent) => {
      const { id } = agent
      activity.stop(id, exceeded(message))
      if (!(await this.#pauseAtLimit(id, sessionId))) return
      const sandbox = await sandboxes.attach(agent)
      await sandbox?.pause() // waits for the killed execs
    })
    // Not awaited: the present step may take long. That no step follows is certain already.
    void Promise.all(pauses).catch((error: unknown) => limits.retryEnforcement(sessionId, error))
  }

  /**
   * Suspends the agent's task, and pauses the agent if its session is still at a cap then. Until the step has ended, the cap
   * may be raised, the task may be cancelled and another task may start.
   *
   * @returns false if the agent may continue.
   */
  async #pauseAtLimit(id: string, sessionId: string): Promise<boolean> {
    const { events, limits, worker } = this.#options
    for (;;) {
      await worker.suspend(id, limits)
      const found = await events.write(async (unit) => {
        if (worker.isWorking(id)) return 'another task'
        const limit = await limits.reached(unit.db, sessionId)
        if (limit === undefined) return 'within'
        const agent = await agentRecord(unit.db, id)
        if (agent && agent.status !== 'paused' && !isOver(agent.status)) await this.#storePause(unit, agent, { limit })
        return 'paused'
      })
      if (found === 'within') worker.unsuspend(id, limits)
      if (found !== 'another task') return found === 'paused'
    }
  }

  async #writePause(id: string, cause: PauseCause): Promise<void> {
    const { events } = this.#options
    const work = async (unit: UnitOfWork): Promise<void> => {
      const agent = await agentRecord(unit.db, id)
      if (!agent) return
      // A cap may have paused the agent of a suspended task.
      if (cause.taskId !== undefined && (agent.status === 'paused' || isOver(agent.status))) return
      assertNotEnded(agent)
      assertCan('pause', agent)
      await this.#storePause(unit, agent, cause)
    }
    await (cause.isRetried ? events.writeWithRetries(work) : events.write(work))
  }

  /** @throws {ApiError} 409 if the cause is a task that no longer is the active one. */
  async #storePause(unit: UnitOfWork, agent: AgentRecord, cause: PauseCause): Promise<void> {
    const { limit, toolCall, why, taskId: suspended } = cause
    const taskId = await this.#options.runs.pauseTask(unit, agent, { limit, toolCall })
    if (suspended !== undefined && suspended !== taskId) {
      throw new ApiError('conflict', `Task ${suspended} ended before agent ${agent.id} was paused for it.`)
    }
    const reason = limit !== undefined ? 'limit' : toolCall ? 'approval_required' : undefined
    const details: ChangeDetails = {
      ...(reason && { reason }),
      ...(toolCall && { toolCall }),
      ...(why !== undefined && { why }),
    }
    await changeAgent(unit, agent.id, 'pause', { taskId, ...details })
  }
}

/** The cause of a pause, if not a caller. */
interface PauseCause extends PauseReason {
  /** The task that has suspended itself. */
  taskId?: string
  /** Stored as the agent's reason. */
  why?: string | undefined
  /** True if the write waits while the store cannot write: the task is suspended already, and would begin again. */
  isRetried?: boolean
}
