import type { Theazo } from '@theazo/core'
import type { ToolSandbox } from '@theazo/core/tools'
import type { ModelChoice } from './models.ts'
import type { Task } from './task.ts'

/** One framework doing the task in a sandbox of its own. */
export interface FrameworkRun {
  framework: string
  agentId: string
  steps: Step[]
  /** Texts of tool results as the model's next turns received them. */
  received: string[]
  answer: string
}

/** One tool call as it happened. */
export interface Step {
  language: string
  /** What the code printed. */
  output: string
  exitCode: number
  /** Of the whole call, request and answer included. */
  milliseconds: number
}

/** What a framework is given. */
export interface FrameworkContext {
  theazo: Theazo
  task: Task
  /** Which model drives; none: the scripted one. */
  model: ModelChoice | undefined
  signal: AbortSignal
  onStep: (step: Step) => void
}

/** The agent, with each exec told as it ends. */
export function observed(agent: ToolSandbox, onStep: (step: Step) => void): ToolSandbox {
  return {
    id: agent.id,
    async exec(language, code, options) {
      const startedAt = performance.now()
      const result = await agent.exec(language, code, options)
      const milliseconds = performance.now() - startedAt
      onStep({ language, output: result.stdout + result.stderr, exitCode: result.exitCode, milliseconds })
      return result
    },
  }
}
