import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { ChatAnthropic } from '@langchain/anthropic'
import { AIMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { ChatOpenAI } from '@langchain/openai'
import type { LanguageModel } from 'ai'
import { convertArrayToReadableStream, MockLanguageModelV4 } from 'ai/test'
import type { Task } from './task.ts'

/** A real model, selected by the API keys in the environment. */
export interface ModelChoice {
  provider: 'anthropic' | 'openai'
  id: string
  apiKey: string
  /** In the format of the provider's own SDK; undefined means the provider's default. */
  baseUrl: string | undefined
}

/** Selects the real model; undefined if no API key is set. The quickstart then uses a scripted model. */
export function chooseModel(env: NodeJS.ProcessEnv): ModelChoice | undefined {
  const { ANTHROPIC_API_KEY, OPENAI_API_KEY, ANTHROPIC_BASE_URL, OPENAI_BASE_URL, QUICKSTART_MODEL } = env
  if (ANTHROPIC_API_KEY) {
    const id = QUICKSTART_MODEL ?? 'claude-sonnet-5-5'
    return { provider: 'anthropic', id, apiKey: ANTHROPIC_API_KEY, baseUrl: ANTHROPIC_BASE_URL }
  }
  if (OPENAI_API_KEY) {
    const id = QUICKSTART_MODEL ?? 'gpt-5-mini'
    return { provider: 'openai', id, apiKey: OPENAI_API_KEY, baseUrl: OPENAI_BASE_URL }
  }
  return undefined
}

/** The model for LangChain. */
export function langChainModel(choice: ModelChoice | undefined, task: Task) {
  if (!choice) return scriptedLangChainModel(task)
  const { provider, id: model, apiKey, baseUrl } = choice
  if (provider === 'anthropic') {
    return new ChatAnthropic({ model, apiKey, ...(baseUrl && { anthropicApiUrl: baseUrl }) })
  }
  return new ChatOpenAI({ model, apiKey, ...(baseUrl && { configuration: { baseURL: baseUrl } }) })
}

/** The model for the AI SDK. */
export function aiSdkModel(choice: ModelChoice | undefined, task: Task): Exclude<LanguageModel, string> {
  if (!choice) return scriptedAiSdkModel(task)
  const { provider, id, apiKey, baseUrl } = choice
  // Anthropic's own SDK appends /v1 to its base URL; the AI SDK does not.
  if (provider === 'anthropic') return createAnthropic({ apiKey, ...(baseUrl && { baseURL: `${baseUrl}/v1` }) })(id)
  return createOpenAI({ apiKey, ...(baseUrl && { baseURL: baseUrl }) }).chat(id)
}

function scriptedLangChainModel(task: Task) {
  const model = fakeModel()
  for (const [index, { tool, input }] of task.calls.entries()) {
    model.respondWithTools([{ name: tool, args: input, id: `call_${index + 1}` }])
  }
  // The answer quotes the tool texts, so it is only correct if the model received them.
  model.respond((messages) => new AIMessage(scriptedAnswer(messages.filter(ToolMessage.isInstance).map((m) => m.text))))
  return model
}

function scriptedAiSdkModel(task: Task): Exclude<LanguageModel, string> {
  let turn = 0
  const model = new MockLanguageModelV4({
    doGenerate: async ({ prompt }) => {
      const call = task.calls[turn]
      turn += 1
      const usage = {
        inputTokens: { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0 },
        outputTokens: { total: 0, text: 0, reasoning: 0 },
      }
      if (call) {
        const input = JSON.stringify(call.input)
        return {
          content: [{ type: 'tool-call', toolCallId: `call_${turn}`, toolName: call.tool, input }],
          finishReason: { unified: 'tool-calls', raw: 'tool_use' },
          usage,
          warnings: [],
        }
      }
      return {
        content: [{ type: 'text', text: scriptedAnswer(toolTexts(prompt)) }],
        finishReason: { unified: 'stop', raw: 'end_turn' },
        usage,
        warnings: [],
      }
    },
    // The server streams. The same answer, in one piece.
    doStream: async (options) => {
      const { content, finishReason, usage } = await model.doGenerate(options)
      const parts = content.flatMap((part): LanguageModelStreamPart[] => {
        if (part.type === 'tool-call') return [part]
        if (part.type !== 'text') return []
        const id = 'answer'
        return [
          { type: 'text-start', id },
          { type: 'text-delta', id, delta: part.text },
          { type: 'text-end', id },
        ]
      })
      return { stream: convertArrayToReadableStream([...parts, { type: 'finish', finishReason, usage }]) }
    },
  })
  return model
}

type LanguageModelStreamPart =
  Awaited<ReturnType<MockLanguageModelV4['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never

function scriptedAnswer(toolTexts: readonly string[]): string {
  // The first line is the printed output. Lines below it name the files that the code created.
  const [, digest = '(nothing)', , , reversed = '(nothing)'] = toolTexts.map((text) => text.split('\n')[0])
  return `The digest is ${digest}; reversed it is ${reversed}.`
}

/** The texts of the tool results in an AI SDK conversation. */
export function toolTexts(messages: readonly { role: string; content: unknown }[]): string[] {
  return messages
    .filter(({ role }) => role === 'tool')
    .flatMap(({ content }) => content as { type: string; output?: { type: string; value?: unknown } }[])
    .map(({ output }) => (output?.type === 'text' ? String(output.value) : JSON.stringify(output)))
}
