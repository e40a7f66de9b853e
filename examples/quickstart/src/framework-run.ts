import type { Money, Theazo } from '@theazo/core'
import type { ModelChoice } from './models.ts'
import type { Task } from './task.ts'

/** The result of one framework that ran the task in its own sandbox. */
export interface FrameworkRun {
  framework: string
  agentId: string
  steps: Step[]
  /** The texts of the tool results, as the model received them. */
  received: string[]
  answer: string
  /** The cost of the model, if the server called it. */
  cost?: Money | undefined
}

/** One completed tool call. */
export interface Step {
  tool: string
  /** The language of the code, or the path of the file. */
  subject: string
  /** The text that the model receives. */
  output: string
  /** Duration of the whole call, including the request and the response. */
  milliseconds: number
}

/** The inputs of a framework's run. */
export interface FrameworkContext {
  theazo: Theazo
  task: Task
  /** The real model; undefined means the scripted model. */
  model: ModelChoice | undefined
  signal: AbortSignal
  /** Called after each tool call. */
  onStep: (step: Step) => void
}

/** Creates the step of a tool call with this input. */
export function stepOf(tool: string, input: unknown, output: string, milliseconds: number): Step {
  const { language, path } = input as { language?: string; path?: string } // the inputs of the task's tools
  return { tool, subject: language ?? path ?? '', output, milliseconds }
}
