import type { Network } from '@theazo/core'
import type { Clock } from '../clock.ts'
import type { Model } from '../engine/model.ts'
import { TaskRun, type TaskRunOptions } from '../engine/task-run.ts'
import type { SuspensionCause } from '../engine/task-log.ts'
import type { ToolRegistry } from '../engine/tool-registry.ts'
import type { EventLog } from '../events/event-log.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import type { Mode, TaskRow } from '../store/tables.ts'
import type { AgentRecord } from './agent-rows.ts'
import type { Execs } from './execs.ts'
import { StoredTaskLog } from './stored-task-log.ts'
import { toolSandbox } from './tool-sandbox.ts'

/** How far a task is when its work starts. */
export interface TaskStart {
  /** See the job's fields. Default false. */
  isNew?: boolean
  isFirst?: boolean
  /** True if a process was killed during the work on the task: a tool call may have been in flight. Default false. */
  mayHaveCallInFlight?: boolean
}

/** The parts of the server that the work on a task uses. */
export interface TaskParts {
  database: Database
  events: EventLog
  limits: SessionLimits
  execs: Execs
  clock: Clock
  /** Tools of agents, by the mode of their keys. */
  tools: Record<Mode, ToolRegistry>
  /** Counts the calls of live keys. */
  observer: TaskRunOptions['observer']
  onError: (error: unknown) => void
}

/** The parts, and the task. */
export interface TaskStartOptions extends TaskParts, TaskStart {
  agent: AgentRecord
  task: TaskRow
  model: Model
  /** Called after the task has suspended itself. */
  onSuspended: (cause: SuspensionCause) => void
}

/** Starts the work on a task in this process. */
export function startTask(options: TaskStartOptions): TaskRun {
  const { agent, task, model, tools, execs, clock, observer, onSuspended, onError } = options
  const { isNew = false, isFirst = false, mayHaveCallInFlight = false } = options
  const { network, approvals, mode } = agent
  // The JSON in the row was validated when it was stored.
  return new TaskRun({
    taskId: task.id,
    agent,
    instructions: agent.instructions,
    prompt: task.prompt,
    timeoutMs: agent.timeout_seconds * 1000,
    runMs: task.run_ms,
    model,
    openTools: (signal) => tools[mode].open(JSON.parse(agent.tools) as string[], signal),
    approvals: new Set(approvals === null ? [] : (JSON.parse(approvals) as string[])),
    sandbox: toolSandbox(execs, agent),
    allow: network === null ? undefined : (JSON.parse(network) as Network).allow,
    openLog: (abandoned) => new StoredTaskLog({ ...options, isNew, isFirst, abandoned }),
    hasLiveOutput: mode === 'live',
    mayHaveCallInFlight,
    observer: mode === 'live' ? observer : undefined,
    clock,
    onSuspended,
    onError,
  })
}
