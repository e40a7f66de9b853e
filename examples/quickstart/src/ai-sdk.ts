import { theazoTools } from '@theazo/ai-sdk'
import { toolGroups } from '@theazo/core/tools'
import { generateText, isStepCount } from 'ai'
import { type FrameworkContext, type FrameworkRun, type Step, stepOf } from './framework-run.ts'
import { aiSdkModel, toolTexts } from './models.ts'

/** Runs the task with the AI SDK: generateText calls the tools until the model answers. */
export async function runAiSdk(context: FrameworkContext): Promise<FrameworkRun> {
  const { theazo, task, signal, onStep } = context
  const session = await theazo.sessions.forUser('quickstart', { signal })
  // If this program is killed, the server ends the agent.
  const idleTimeout = { seconds: 900, action: 'terminate' } as const
  await using agent = await session.agents.create({ idleTimeout, signal })
  const model = aiSdkModel(context.model, task)
  const steps: Step[] = []

  const { text, responseMessages } = await generateText({
    model,
    prompt: task.prompt,
    tools: theazoTools({ agent, model }),
    stopWhen: isStepCount(10),
    abortSignal: signal,
    onToolExecutionEnd({ toolCall: { toolName, input }, toolOutput, toolExecutionMs }) {
      const output = toolOutput.type === 'tool-result' ? textOf(toolName, toolOutput.output) : String(toolOutput.error)
      const step = stepOf(toolName, input, output, toolExecutionMs)
      steps.push(step)
      onStep(step)
    },
  })
  return { framework: 'AI SDK', agentId: agent.id, steps, received: toolTexts(responseMessages), answer: text }
}

/** The text of a tool's output, as the model receives it. */
function textOf(name: string, output: unknown): string {
  const tool = Object.values(toolGroups)
    .flat()
    .find((tool) => tool.name === name)
  return tool?.toText(output) ?? ''
}
