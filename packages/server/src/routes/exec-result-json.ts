import type { ExecResult } from '@theazo/core'

/** Characters above which an answer is written in pieces: its JSON may be tens of megabytes. */
export const maxWholeChars = 1024 * 1024
const pieceChars = 64 * 1024

/** True for a result whose JSON is not to be made at once, nor kept. */
export function isLarge({ stdout, stderr }: ExecResult): boolean {
  return stdout.length + stderr.length > maxWholeChars
}

/** The JSON of a result, in pieces that are made as they are read. */
export function* resultJson({ stdout, stderr, ...rest }: ExecResult): Generator<string, void, undefined> {
  yield '{"stdout":"'
  yield* escaped(stdout)
  yield '","stderr":"'
  yield* escaped(stderr)
  yield `",${JSON.stringify(rest).slice(1)}`
}

/** What JSON has of a text between its quotes. */
export function* escaped(text: string): Generator<string, void, undefined> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + pieceChars, text.length)
    // Both halves of a surrogate pair in one piece: JSON would escape each on its own.
    if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end += 1
    yield JSON.stringify(text.slice(at, end)).slice(1, -1)
    at = end
  }
}

/**
 * The pieces as a body that is made as its reader takes it.
 *
 * @param onEnd is called once it was read, or its reader has left.
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
