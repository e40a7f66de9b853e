import { randomUUID } from 'node:crypto'
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test'
import { scriptFor, type Turn } from './scripts.ts'

type Streamed = Awaited<ReturnType<MockLanguageModelV4['doStream']>>['stream']
type Chunk = Streamed extends ReadableStream<infer Part> ? Part : never
type Prompt = Parameters<MockLanguageModelV4['doStream']>[0]['prompt']

const wordDelayMs = 15
const usage = {
  inputTokens: { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 0, text: 0, reasoning: 0 },
}

/** A model without a provider: it finds a script by the words of the user's message. Its sandboxes are real. */
export function scriptedModel(): MockLanguageModelV4 {
  return new MockLanguageModelV4({
    provider: 'anthropic.messages', // only so that the tools give it images, as they would give them to a real model
    doStream: async ({ prompt }) => ({
      stream: simulateReadableStream<Chunk>({
        initialDelayInMs: null,
        chunkDelayInMs: wordDelayMs,
        chunks: chunksOf(turnFor(prompt)),
      }),
    }),
  })
}

/** The turn of the script that follows the tool results since the user's last message. */
function turnFor(prompt: Prompt): Turn {
  const asked = prompt.findLastIndex(({ role }) => role === 'user')
  const results = prompt.slice(asked + 1).flatMap((message) => (message.role === 'tool' ? message.content : []))
  const outputs = results.flatMap((part) => (part.type === 'tool-result' ? [part.output] : []))
  const question = textOf(prompt[asked])
  if (outputs.at(-1)?.type === 'execution-denied') return { text: 'You refused, so I left everything as it was.' }
  const script = scriptFor(question)
  return script[Math.min(outputs.length, script.length - 1)] ?? { text: '' }
}

function textOf(message: Prompt[number] | undefined): string {
  if (message?.role !== 'user') return ''
  return message.content.map((part) => (part.type === 'text' ? part.text : '')).join(' ')
}

function chunksOf({ text, call }: Turn): Chunk[] {
  const words = text.match(/\s*\S+\s*/g) ?? []
  const unified = call ? 'tool-calls' : 'stop'
  return [
    { type: 'stream-start', warnings: [] },
    { type: 'text-start', id: '1' },
    ...words.map((delta): Chunk => ({ type: 'text-delta', id: '1', delta })),
    { type: 'text-end', id: '1' },
    ...(call ? [callChunk(call)] : []),
    { type: 'finish', finishReason: { unified, raw: unified }, usage },
  ]
}

function callChunk({ tool, input }: NonNullable<Turn['call']>): Chunk {
  return { type: 'tool-call', toolCallId: randomUUID(), toolName: tool, input: JSON.stringify(input) }
}
