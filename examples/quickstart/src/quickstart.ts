import { Theazo } from '@theazo/core'
import { listenTheazo } from '@theazo/server'
import { runAiSdk } from './ai-sdk.ts'
import type { FrameworkRun, Step } from './framework-run.ts'
import { runLangGraph } from './langgraph.ts'
import { runMcp } from './mcp.ts'
import { aiSdkModel, type ModelChoice } from './models.ts'
import { runOnServer, serverModelId } from './server-run.ts'
import { isSolved, newTask, type Task } from './task.ts'

export interface QuickstartOptions {
  model: ModelChoice | undefined
  signal: AbortSignal
  /** Called before each framework runs. */
  onFramework: (name: string) => void
  /** Called after each tool call. */
  onStep: (step: Step) => void
  /** Receives the log lines of the server. */
  log?: { write(line: string): void } | undefined
}

/** The run of one framework. `isSolved` is true if the output is correct. */
export interface CheckedRun extends FrameworkRun {
  task: Task
  isSolved: boolean
  milliseconds: number
}

/** Starts the embedded server and runs the task with each framework in turn, each in its own sandbox. */
export async function quickstart(options: QuickstartOptions): Promise<CheckedRun[]> {
  const { model, signal, onFramework, onStep, log } = options
  const ownTask = newTask() // of the server's own loop: its scripted model knows the task
  const models = { custom: { [serverModelId]: aiSdkModel(model, ownTask) } }
  await using server = await listenTheazo({ port: 0, log, models })
  const { url: baseUrl, apiKey } = server
  const theazo = new Theazo({ baseUrl, apiKey })
  const runs: CheckedRun[] = []
  const frameworks = {
    'LangGraph graph': runLangGraph,
    'AI SDK generateText': runAiSdk,
    'MCP client, theazo-mcp': runMcp,
    "The server's own loop, POST /run": runOnServer,
  }
  for (const [name, run] of Object.entries(frameworks)) {
    signal.throwIfAborted()
    onFramework(name)
    const task = run === runOnServer ? ownTask : newTask()
    const startedAt = performance.now()
    const result = await run({ theazo, task, model, signal, onStep, baseUrl, apiKey })
    const milliseconds = performance.now() - startedAt
    runs.push({
      ...result,
      task,
      milliseconds,
      isSolved: isSolved(
        task,
        result.steps.map(({ output }) => output),
      ),
    })
  }
  return runs
}
