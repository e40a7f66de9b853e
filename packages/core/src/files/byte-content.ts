import { abortable } from '../transport/abortable.ts'
import { ConfigurationError, configurationError } from '../errors.ts'

/** Content of a file or of standard input, in every form that the platform has for bytes and text. */
export type ByteContent = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView | Blob

/** Content that comes in pieces: a web stream, a Node stream, or any other async iterable of text and bytes. */
export type StreamContent = ReadableStream<ByteContent> | AsyncIterable<ByteContent>

/**
 * The bytes of a content; text as UTF-8. Objects of another realm (a worker's, a test runner's, an iframe's) count too.
 *
 * @param what is named by the error.
 * @throws {ConfigurationError} for anything else.
 */
export async function bytesOf(content: unknown, what: string): Promise<Uint8Array> {
  if (typeof content === 'string') return new TextEncoder().encode(content)
  if (ArrayBuffer.isView(content)) return new Uint8Array(content.buffer, content.byteOffset, content.byteLength)
  const tag = Object.prototype.toString.call(content)
  if (tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]') {
    return new Uint8Array(content as ArrayBuffer) // by its tag; instanceof knows only this realm's
  }
  if (tag === '[object Blob]' || tag === '[object File]') return new Uint8Array(await (content as Blob).arrayBuffer())
  throw contentError(content, what, false)
}

/** Bytes of a content as far as it says so itself: a stream does not. */
export function knownSize(content: unknown): number {
  if (typeof content !== 'object' || content === null) return 0
  if ('byteLength' in content) return Number(content.byteLength)
  return 'size' in content ? Number(content.size) : 0
}

/** The content as pieces of bytes, whatever form it has. @throws {ConfigurationError} for anything else. */
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
      // Not awaited: an iterator that waits for its next piece returns only after that.
      if (!isRead) void Promise.resolve(iterator.return?.()).catch(() => {})
    }
  } else {
    yield await bytesOf(content, what).catch((error: unknown) => {
      throw ConfigurationError.isInstance(error) ? contentError(content, what, true) : error
    })
  }
}

/** Not every platform can iterate a web stream. */
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

function contentError(content: unknown, what: string, isStreamTaken: boolean): ConfigurationError {
  const tag = Object.prototype.toString.call(content).slice(8, -1)
  const last = isStreamTaken ? ', a Blob or a stream of these' : ' or a Blob'
  const message = `${what} must be a string, an ArrayBuffer, a view of one (Uint8Array, Buffer)${last}, not ${tag}.`
  return configurationError(message)
}
