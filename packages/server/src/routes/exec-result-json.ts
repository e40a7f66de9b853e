import type { ExecResult } from '@theazo/core'

/** A longer answer is written in parts: its JSON may be tens of megabytes. */
export const maxWholeChars = 1024 * 1024
const pieceChars = 64 * 1024

/** True for a result whose JSON is too large to encode in one piece, or to store for idempotency. */
export function isLarge({ stdout, stderr }: ExecResult): boolean {
  return stdout.length + stderr.length > maxWholeChars
}

/** The JSON of a result, in parts that are encoded when they are read. */
export function* resultJson({ stdout, stderr, ...rest }: ExecResult): Generator<string, void, undefined> {
  yield '{"stdout":"'
  yield* escaped(stdout)
  yield '","stderr":"'
  yield* escaped(stderr)
  yield `",${JSON.stringify(rest).slice(1)}`
}

/** The JSON of a string without its quotes, in parts. */
export function* escaped(text: string): Generator<string, void, undefined> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + pieceChars, text.length)
    // Keep both halves of a surrogate pair in one part: JSON would escape each half.
    if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end += 1
    yield JSON.stringify(text.slice(at, end)).slice(1, -1)
    at = end
  }
}

/**
 * A body that encodes the next part when its reader asks for it.
 *
 * @param onEnd called after the whole body was read, or after the reader has cancelled.
 */
export function bodyOf(pieces: Iterator<string>, onEnd: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const { done, value } = pieces.next()
        if (!done) return controller.enqueue(Buffer.from(value))
        controller.close()
        onEnd()
      },
      cancel: onEnd,
    },
    { highWaterMark: 0 },
  )
}
