import type { WireAgent } from '@theazo/core'
import { type Clock, endsWithin } from '../clock.ts'
import type { Sandbox } from '../compute/compute-provider.ts'
import type { SuspensionCause } from '../engine/task-log.ts'
import { ApiError, shuttingDown } from '../errors.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import type { Principal } from '../keys/api-keys.ts'
import { exceeded, type SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import { changeAgent, type ChangeDetails, failAgent } from './agent-changes.ts'
import { assertCan, assertNotEnded, isOver } from './agent-lifecycle.ts'
import { type AgentRecord, agentRecord, findAgent, toWireAgent } from './agent-rows.ts'
import type { AgentActivity } from './agent-activity.ts'
import type { ApprovalAnswer, TaskPauseReason } from './approvals.ts'
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
  async pauseIdle(id: string, agentReason: string, isStillDue: () => boolean): Promise<void> {
    const agent = await agentRecord(this.#options.database, id)
    if (agent && isStillDue()) await this.#pause(agent, { agentReason }) // refuses new execs before its first await
  }

  /** Pauses an agent whose task has suspended itself. Does nothing if the task no longer runs. */
  async pauseSuspended(id: string, taskId: string, cause: SuspensionCause): Promise<void> {
    const agent = await agentRecord(this.#options.database, id)
    if (agent?.status !== 'running' || agent.task_id !== taskId) return
    const reason = 'limit' in cause ? {} : { agentReason: `A call of ${cause.toolCall.tool} waits for an approval.` }
    await this.#pause(agent, { ...cause, ...reason, suspendedTaskId: taskId, isRetried: true })
  }

  async #pause(agent: AgentRecord, cause: PauseDetails = {}): Promise<void> {
    const { database, sandboxes, activity, worker, clock } = this.#options
    const { id } = agent
    const holder = {}
    await activity.whilePausing(id, async (quiet) => {
      // Suspend again after the last active call: a run accepted before this pause may have started its loop only then.
      const stopped = Promise.all([worker.suspend(id, holder), quiet.then(() => worker.suspend(id, holder))])
      if (!(await endsWithin(clock, pauseTimeoutMs, stopped))) {
        worker.unsuspend(id, holder)
        throw new ApiError(
          'timeout',
          `The running code or task of agent ${id} did not end within ${pauseTimeoutMs / 1000} s. The agent was not paused.`,
        )
      }
      if ((await stopped).includes('abandoned')) throw shuttingDown()
      let sandbox: Sandbox | undefined
      try {
        sandbox = await sandboxes.attach(agent)
        await sandbox?.pause()
        await this.#writePause(id, cause)
      } catch (error) {
        try {
          // A cap may have paused the agent meanwhile: its processes must stay frozen.
          if ((await agentRecord(database, id))?.status !== 'paused') await sandbox?.resume()
        } finally {
          worker.unsuspend(id, holder)
        }
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
      // A killed step is not the end of a step: the next process continues the task.
      if ((await worker.suspend(id, limits)) === 'abandoned') return false
      const found = await events.writeWithRetries(async (unit) => {
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

  async #writePause(id: string, cause: PauseDetails): Promise<void> {
    const { events, worker } = this.#options
    const work = async (unit: UnitOfWork): Promise<void> => {
      const agent = await agentRecord(unit.db, id)
      if (!agent) return
      // A cap may have paused the agent of a suspended task.
      if (cause.suspendedTaskId !== undefined && (agent.status === 'paused' || isOver(agent.status))) return
      assertNotEnded(agent)
      assertCan('pause', agent)
      if (worker.isWorking(id))
        throw new ApiError('conflict', `The task of agent ${id} has begun again. Pause it again.`)
      await this.#storePause(unit, agent, cause)
    }
    await (cause.isRetried ? events.writeWithRetries(work) : events.write(work))
  }

  /** @throws {ApiError} 409 if the cause is a task that no longer is the active one. */
  async #storePause(unit: UnitOfWork, agent: AgentRecord, cause: PauseDetails): Promise<void> {
    const { limit, toolCall, agentReason, suspendedTaskId } = cause
    const taskId = await this.#options.runs.pauseTask(unit, agent, { limit, toolCall })
    if (suspendedTaskId !== undefined && suspendedTaskId !== taskId) {
      throw new ApiError('conflict', `Task ${suspendedTaskId} ended before agent ${agent.id} was paused for it.`)
    }
    const eventReason = limit !== undefined ? 'limit' : toolCall ? 'approval_required' : undefined
    const details: ChangeDetails = {
      ...(eventReason && { eventReason }),
      ...(toolCall && { toolCall }),
      ...(agentReason !== undefined && { agentReason }),
    }
    await changeAgent(unit, agent.id, 'pause', { taskId, ...details })
  }
}

/** The cause of a pause, if not a caller. */
interface PauseDetails extends TaskPauseReason {
  /** The task that has suspended itself. */
  suspendedTaskId?: string
  /** Stored as the agent's reason. */
  agentReason?: string | undefined
  /** True to retry the write until the store can write: an error would restart the task, which would suspend itself again. */
  isRetried?: boolean
}
