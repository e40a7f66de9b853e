import { abortable } from '../transport/abortable.ts'
import { ConfigurationError, configurationError } from '../errors.ts'

/** Content of a file or of standard input: text, or bytes in any form of the platform. */
export type ByteContent = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView | Blob

/** Content that arrives in chunks: a web stream, a Node stream, or any other async iterable of text and bytes. */
export type StreamContent = ReadableStream<ByteContent> | AsyncIterable<ByteContent>

/**
 * The bytes of any content; text becomes UTF-8. It also accepts objects of another realm (worker, test runner, iframe).
 *
 * @param what names the content in the error.
 * @throws {ConfigurationError} for any other value.
 */
export async function bytesOf(content: unknown, what: string): Promise<Uint8Array> {
  if (typeof content === 'string') return new TextEncoder().encode(content)
  if (ArrayBuffer.isView(content)) return new Uint8Array(content.buffer, content.byteOffset, content.byteLength)
  const tag = Object.prototype.toString.call(content)
  if (tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]') {
    return new Uint8Array(content as ArrayBuffer) // checked by its tag: instanceof is false for another realm
  }
  if (tag === '[object Blob]' || tag === '[object File]') return new Uint8Array(await (content as Blob).arrayBuffer())
  throw contentError(content, what, false)
}

/** The size in bytes, if the content has one; 0 for text and streams. */
export function knownSize(content: unknown): number {
  if (typeof content !== 'object' || content === null) return 0
  if ('byteLength' in content) return Number(content.byteLength)
  return 'size' in content ? Number(content.size) : 0
}

/**
 * Any content as chunks of bytes.
 *
 * @throws {ConfigurationError} for any other value.
 */
export async function* byteChunks(
  content: unknown,
  what: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const isObject = typeof content === 'object' && content !== null
  if (isObject && 'getReader' in content) {
    yield* streamChunks(content as ReadableStream<unknown>, what, signal)
  } else if (isObject && Symbol.asyncIterator in content) {
    const iterator = (content as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    let isRead = false
    try {
      for (let result; !(result = await abortable(iterator.next(), signal)).done;)
        yield await bytesOf(result.value, what)
      isRead = true
    } finally {
      // Not awaited: the iterator may still wait for its next chunk, and returns only after that.
      if (!isRead) void Promise.resolve(iterator.return?.()).catch(() => {})
    }
  } else {
    yield await bytesOf(content, what).catch((error: unknown) => {
      throw ConfigurationError.isInstance(error) ? contentError(content, what, true) : error
    })
  }
}

/** Reads a web stream with its reader: not every platform can iterate it. */
async function* streamChunks(
  stream: ReadableStream<unknown>,
  what: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader()
  let isRead = false
  try {
    for (;;) {
      const { done, value } = await abortable(reader.read(), signal)
      isRead = done
      if (done) return
      yield await bytesOf(value, what)
    }
  } finally {
    if (!isRead) void reader.cancel(signal?.reason).catch(() => {})
  }
}

function contentError(content: unknown, what: string, isStreamAllowed: boolean): ConfigurationError {
  const tag = Object.prototype.toString.call(content).slice(8, -1)
  const last = isStreamAllowed ? ', a Blob or a stream of these' : ' or a Blob'
  const message = `${what} must be a string, an ArrayBuffer, a view of one (Uint8Array, Buffer)${last}, not ${tag}.`
  return configurationError(message)
}
