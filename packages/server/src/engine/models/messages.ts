import type { ModelMessage, ToolResultPart } from 'ai'
import type { ToolImage } from '@theazo/core/tools'
import type { ModelRequest, ModelStep, PastTask, Step, ToolStep } from '../model.ts'

type ToolOutput = ToolResultPart['output']

/** The conversation in the AI SDK's form, without the system prompt. Every tool call in it has a result. */
export function messagesOf({
  history,
  prompt,
  steps,
}: Pick<ModelRequest, 'history' | 'prompt' | 'steps'>): ModelMessage[] {
  return [...history.flatMap(taskMessages), ...taskMessages({ prompt, steps })]
}

function taskMessages({ prompt, steps }: PastTask): ModelMessage[] {
  return [{ role: 'user', content: prompt }, ...turnsOf(steps).flatMap(turnMessages)]
}

interface TurnMessages {
  step: ModelStep
  results: Map<string, ToolStep>
}

function turnsOf(steps: readonly Step[]): TurnMessages[] {
  const turns: TurnMessages[] = []
  for (const step of steps) {
    if (step.kind === 'model') turns.push({ step, results: new Map() })
    else if (step.kind === 'tool') turns.at(-1)?.results.set(step.id, step)
  }
  return turns
}

function turnMessages({ step, results }: TurnMessages): ModelMessage[] {
  const messages = (step.messages as ModelMessage[] | undefined) ?? [plainMessage(step)] // stored by this program
  if (step.toolCalls.length === 0) return messages
  const content = step.toolCalls.map(({ id, tool }): ToolResultPart => {
    return { type: 'tool-result', toolCallId: id, toolName: tool, output: outputOf(results.get(id)) }
  })
  return [...messages, { role: 'tool', content }]
}

/** A step of a model that is not the AI SDK's. */
function plainMessage({ text = '', toolCalls }: ModelStep): ModelMessage {
  const calls = toolCalls.map(({ id, tool, input }) => {
    return { type: 'tool-call' as const, toolCallId: id, toolName: tool, input }
  })
  return { role: 'assistant', content: [...(text === '' ? [] : [{ type: 'text' as const, text }]), ...calls] }
}

function outputOf(result: ToolStep | undefined): ToolOutput {
  if (!result) return { type: 'error-text', value: 'There is no result: the task ended before this call did.' }
  const text = typeof result.output === 'string' ? result.output : JSON.stringify(result.output)
  if (result.isError) return { type: 'error-text', value: text }
  const { images = [] } = result
  if (images.length === 0) return { type: 'text', value: text }
  return { type: 'content', value: [{ type: 'text', text }, ...images.map(imagePart)] }
}

function imagePart({ mediaType, base64 }: ToolImage) {
  return { type: 'file' as const, mediaType, data: { type: 'data' as const, data: base64 } }
}
