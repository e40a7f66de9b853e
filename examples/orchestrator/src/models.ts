import type { AiModel, ModelsOptions } from '@theazo/server'
import { convertArrayToReadableStream, MockLanguageModelV4 } from 'ai/test'

/** The model of the first key in the environment; without a key, a scripted one. */
export function chooseModels(env: NodeJS.ProcessEnv): { models: ModelsOptions; description: string } {
  const { ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, OPENAI_API_KEY, OPENAI_BASE_URL, ORCHESTRATOR_MODEL } = env
  if (ANTHROPIC_API_KEY) {
    const id = ORCHESTRATOR_MODEL ?? 'claude-sonnet-5-5'
    const anthropic = { apiKey: ANTHROPIC_API_KEY, baseUrl: ANTHROPIC_BASE_URL }
    return { models: { anthropic, default: id }, description: id }
  }
  if (OPENAI_API_KEY) {
    const id = ORCHESTRATOR_MODEL ?? 'gpt-5-mini'
    const openai = { apiKey: OPENAI_API_KEY, baseUrl: OPENAI_BASE_URL }
    return { models: { openai, default: id }, description: id }
  }
  const description = 'scripted, because neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set'
  return { models: { custom: { scripted: scriptedModel() }, default: 'scripted' }, description }
}

const calls = [
  {
    toolName: 'run_code',
    input: {
      language: 'python',
      code: 'with open("squares.txt", "w") as f:\n  for n in range(1, 6): print(n * n, file=f)',
    },
  },
  { toolName: 'run_code', input: { language: 'bash', code: "awk '{ sum += $1 } END { print sum }' squares.txt" } },
  { toolName: 'delete_file', input: { path: 'squares.txt' } },
]

/** A model that makes these calls in turn and then answers with what the second one printed. */
function scriptedModel(): AiModel {
  return new MockLanguageModelV4({
    async doStream({ prompt }) {
      const results = prompt.filter(({ role }) => role === 'tool')
      const call = calls[results.length]
      const sum = /"value":"(\d+)/.exec(JSON.stringify(results[1]))?.[1]
      const usage = {
        inputTokens: { total: 1_000, noCache: 1_000, cacheRead: 0, cacheWrite: 0 },
        outputTokens: { total: 100, text: 100, reasoning: 0 },
      }
      const stream = call
        ? convertArrayToReadableStream([
            { type: 'reasoning-start', id: 'r' } as const,
            { type: 'reasoning-delta', id: 'r', delta: `Step ${results.length + 1} needs ${call.toolName}.` } as const,
            { type: 'reasoning-end', id: 'r' } as const,
            {
              type: 'tool-call',
              toolCallId: `call_${results.length + 1}`,
              toolName: call.toolName,
              input: JSON.stringify(call.input),
            } as const,
            { type: 'finish', finishReason: { unified: 'tool-calls', raw: 'tool_use' }, usage } as const,
          ])
        : convertArrayToReadableStream([
            { type: 'text-start', id: 't' } as const,
            {
              type: 'text-delta',
              id: 't',
              delta: `The sum of the squares is ${sum}. squares.txt is deleted.`,
            } as const,
            { type: 'text-end', id: 't' } as const,
            { type: 'finish', finishReason: { unified: 'stop', raw: 'end_turn' }, usage } as const,
          ])
      return { stream }
    },
  })
}
