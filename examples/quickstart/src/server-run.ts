import { type FrameworkContext, type FrameworkRun, type Step, stepOf } from './framework-run.ts'

/** Gives the task to an agent of the server: the server itself calls the model, and the tools in the agent's sandbox. */
export async function runOnServer({ theazo, task, signal, onStep }: FrameworkContext): Promise<FrameworkRun> {
  const session = await theazo.sessions.forUser('quickstart', { signal })
  // If this program is killed, the server ends the agent.
  const idleTimeout = { seconds: 900, action: 'terminate' } as const
  await using agent = await session.agents.create({ model: { id: serverModelId }, idleTimeout, signal })
  const steps: Step[] = []
  const inputs = new Map<string | undefined, unknown>()

  const run = agent.run(task.prompt, { signal })
  await run.forward({
    onToolCall: ({ callId, input }) => void inputs.set(callId, input),
    onToolResult({ callId, tool, output, durationMs = 0 }) {
      const step = stepOf(tool, inputs.get(callId), String(output), durationMs)
      steps.push(step)
      onStep(step)
    },
  })
  const { output, cost } = await run.result()
  const received = steps.map((step) => step.output)
  return { framework: 'Theazo run', agentId: agent.id, steps, received, answer: output, cost }
}

/** The id under which the server has the model of the quickstart. */
export const serverModelId = 'quickstart'
