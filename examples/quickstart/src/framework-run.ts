import type { Theazo } from '@theazo/core'
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
  tool: string
  /** The language of code, or the path of a file. */
  subject: string
  /** The text that the model is given. */
  output: string
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

/** A step of a tool call with this input. */
export function stepOf(tool: string, input: unknown, output: string, milliseconds: number): Step {
  const { language, path } = input as { language?: string; path?: string } // of the tools of the task
  return { tool, subject: language ?? path ?? '', output, milliseconds }
}
