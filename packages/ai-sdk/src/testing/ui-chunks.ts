import {
  readUIMessageStream,
  simulateReadableStream,
  type UIMessage,
  type UIMessageChunk,
  uiMessageChunkSchema,
} from 'ai'

/** Reads the chunks of a stream, at most this many, and then cancels it. Each must be valid for the AI SDK. */
export async function chunksOf<Chunk>(
  stream: ReadableStream<Chunk>,
  { limit = Number.POSITIVE_INFINITY }: { limit?: number } = {},
): Promise<Chunk[]> {
  const { validate } = uiMessageChunkSchema()
  const reader = stream.getReader()
  const chunks: Chunk[] = []
  while (chunks.length < limit) {
    const { done, value } = await reader.read()
    if (done) return chunks
    const result = await validate?.(value)
    if (!result?.success) throw result?.error ?? new Error('the AI SDK has no schema for chunks')
    chunks.push(value)
  }
  await reader.cancel()
  return chunks
}

/** The message that a client makes of these chunks. It throws if the client would report an error of the stream. */
export async function messageOf<Message extends UIMessage>(
  chunks: readonly unknown[],
  message?: Message,
): Promise<Message> {
  let last = message
  // An `error` chunk is an error of the run, and not of the stream.
  const valid = chunks.filter((chunk) => (chunk as UIMessageChunk).type !== 'error') as UIMessageChunk[]
  const stream = simulateReadableStream({ chunks: valid, initialDelayInMs: null, chunkDelayInMs: null })
  const messages = readUIMessageStream<Message>({
    stream,
    ...(message && { message: structuredClone(message) }),
    terminateOnError: true,
  })
  for await (const each of messages) last = each
  if (!last) throw new Error('the chunks make no message')
  return last
}
