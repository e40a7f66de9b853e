// A model for tests that run on both majors of the AI SDK.
import { simulateReadableStream } from 'ai'
import * as testing from 'ai/test'

/** False if the tests run on the AI SDK 6. */
export const isVersion7: boolean = 'MockLanguageModelV4' in testing

/** Version 6 has the same class under an older name; the tests use what both have. */
export type ScriptedModel = testing.MockLanguageModelV4
const MockModel =
  testing.MockLanguageModelV4 ?? (testing.MockLanguageModelV3 as unknown as typeof testing.MockLanguageModelV4)

/** One answer of the model: tool calls by name with their inputs, or text. */
export type Turn = string | ToolCall[]

interface ToolCall {
  tool: string
  input: unknown
}

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
}

/** A model that gives these answers, one for each request. The ids of its calls are `call_1`, `call_2`, … */
export function scriptedModel(...turns: Turn[]): ScriptedModel {
  let calls = 0
  const answers = turns.map((turn) => {
    const isText = typeof turn === 'string'
    const content = isText
      ? [{ type: 'text', text: turn } as const]
      : turn.map(({ tool, input }) => {
          calls += 1
          const id = `call_${calls}`
          return { type: 'tool-call', toolCallId: id, toolName: tool, input: JSON.stringify(input) } as const
        })
    const unified = isText ? ('stop' as const) : ('tool-calls' as const)
    return { content, finishReason: { unified, raw: unified }, usage }
  })
  return new MockModel({
    doGenerate: answers.map((answer) => ({ ...answer, warnings: [] })),
    doStream: answers.map(({ content, finishReason }) => {
      const chunks = [...content.flatMap(chunksOf), { type: 'finish', finishReason, usage } as const]
      return { stream: simulateReadableStream<Chunk>({ initialDelayInMs: null, chunkDelayInMs: null, chunks }) }
    }),
  })
}

type Streamed = Awaited<ReturnType<ScriptedModel['doStream']>>['stream']
type Chunk = Streamed extends ReadableStream<infer Part> ? Part : never

function chunksOf(part: { type: 'text'; text: string } | (Chunk & { type: 'tool-call' })): Chunk[] {
  if (part.type === 'tool-call') return [part]
  return [
    { type: 'text-start', id: '1' },
    { type: 'text-delta', id: '1', delta: part.text },
    { type: 'text-end', id: '1' },
  ]
}

/** A model that calls one tool once and then answers `done`. */
export function modelThatCalls(tool: string, input: unknown): ScriptedModel {
  return scriptedModel([{ tool, input }], 'done')
}

/** The texts of the tool results in the model's last request. */
export function textsReceived({ doGenerateCalls, doStreamCalls }: ScriptedModel): string[] {
  const prompt = (doGenerateCalls.at(-1) ?? doStreamCalls.at(-1))?.prompt ?? []
  return prompt.flatMap(({ role, content }) =>
    role !== 'tool'
      ? []
      : content.map((part) => {
          const output = part.type === 'tool-result' ? part.output : undefined
          return output?.type === 'text' || output?.type === 'error-text' ? output.value : JSON.stringify(output)
        }),
  )
}
