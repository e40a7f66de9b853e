import { Theazo } from '@theazo/core'
import { listenTheazo } from '@theazo/server'
import { runAiSdk } from './ai-sdk.ts'
import type { FrameworkRun, Step } from './framework-run.ts'
import { runLangGraph } from './langgraph.ts'
import { runMcp } from './mcp.ts'
import type { ModelChoice } from './models.ts'
import { isSolved, newTask, type Task } from './task.ts'

export interface QuickstartOptions {
  model: ModelChoice | undefined
  signal: AbortSignal
  /** Told as things happen. */
  onFramework: (name: string) => void
  onStep: (step: Step) => void
  /** Where the server's log lines go. */
  log?: { write(line: string): void } | undefined
}

/** One framework's run, checked against what the task must give. */
export interface CheckedRun extends FrameworkRun {
  task: Task
  isSolved: boolean
  milliseconds: number
}

/** Starts the embedded server and does the task through each framework, each in a sandbox of its own. */
export async function quickstart(options: QuickstartOptions): Promise<CheckedRun[]> {
  const { model, signal, onFramework, onStep, log } = options
  await using server = await listenTheazo({ port: 0, log })
  const { url: baseUrl, apiKey } = server
  const theazo = new Theazo({ baseUrl, apiKey })
  const runs: CheckedRun[] = []
  const frameworks = {
    'LangGraph graph': runLangGraph,
    'AI SDK generateText': runAiSdk,
    'MCP client, theazo-mcp': runMcp,
  }
  for (const [name, run] of Object.entries(frameworks)) {
    signal.throwIfAborted()
    onFramework(name)
    const task = newTask()
    const startedAt = performance.now()
    const done = await run({ theazo, task, model, signal, onStep, baseUrl, apiKey })
    const milliseconds = performance.now() - startedAt
    runs.push({
      ...done,
      task,
      milliseconds,
      isSolved: isSolved(
        task,
        done.steps.map(({ output }) => output),
      ),
    })
  }
  return runs
}
