import { theazoTools } from '@theazo/ai-sdk'
import { generateText, isStepCount } from 'ai'
import { type FrameworkContext, type FrameworkRun, observed, type Step } from './framework-run.ts'
import { aiSdkModel, toolTexts } from './models.ts'

/** The AI SDK: generateText calls the tools until the model has its answer. */
export async function runAiSdk({ theazo, task, model, signal, onStep }: FrameworkContext): Promise<FrameworkRun> {
  const session = await theazo.sessions.forUser('quickstart', { signal })
  await using agent = await session.agents.create({ signal })
  const steps: Step[] = []
  const record = (step: Step): void => {
    steps.push(step)
    onStep(step)
  }

  const { text, responseMessages } = await generateText({
    model: aiSdkModel(model, task),
    prompt: task.prompt,
    tools: theazoTools({ agent: observed(agent, record) }),
    stopWhen: isStepCount(10),
    abortSignal: signal,
  })
  return { framework: 'AI SDK', agentId: agent.id, steps, received: toolTexts(responseMessages), answer: text }
}
