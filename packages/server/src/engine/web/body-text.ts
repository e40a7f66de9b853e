import type { IncomingMessage } from 'node:http'
import { isUtf8 } from 'node:buffer'
import { Transform, pipeline } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { EgressRefusal } from '../../compute/local/egress/refusal.ts'
import { maxReceivedBytes, maxShownBytes } from './request-limits.ts'

/** The body of an answer, as far as it is text. */
export interface TextBody {
  text?: string
  /** Its media type, if it is not text. */
  binary?: string
  /** Bytes of a binary body, if they are known. */
  sizeBytes?: number
  /** Why the rest is missing. */
  cut?: 'size' | 'time' | 'lost'
}

/** The note about a body that is not shown, or not whole. */
export function bodyNote({ binary, sizeBytes, cut }: TextBody, maxBytes: number): string | undefined {
  if (binary !== undefined) {
    const size = sizeBytes === undefined ? '' : `, ${sizeBytes} bytes`
    return `the body is binary and not shown: ${binary}${size}`
  }
  if (cut === 'size') return `the body is cut after ${maxBytes} bytes`
  if (cut === 'time') return 'the body is cut: its end did not come in time'
  return cut === 'lost' ? 'the body is cut: the connection was lost' : undefined
}

/**
 * Reads a body up to its limits.
 *
 * @param ended an abort returns the part that was received.
 * @throws {EgressRefusal} if it cannot be decompressed.
 */
export async function readBody(answer: IncomingMessage, ended: AbortSignal): Promise<TextBody> {
  const { 'content-type': type = '', 'content-encoding': coding = '', 'content-length': length } = answer.headers
  const mediaType = type.split(';')[0]?.trim().toLowerCase() ?? ''
  const sizeBytes = coding === '' && length !== undefined ? { sizeBytes: Number(length) } : {}
  if (binaryTypes.test(mediaType)) return { binary: mediaType, ...sizeBytes }
  const { bytes, cut } = await bytesOf(answer, coding.trim().toLowerCase(), ended)
  const charset = /charset="?([\w-]+)/i.exec(type)?.[1]
  const text = textOf(bytes, charset, cut !== undefined)
  if (text === undefined) return { binary: mediaType || 'content of an unknown type', ...sizeBytes }
  return { text, ...(cut && { cut }) }
}

const binaryTypes = /^(image\/(?!svg)|audio\/|video\/|font\/|application\/(pdf|zip|gzip|x-tar|wasm|vnd\.(ms|openxml)))/

/** Undefined for bytes that are not text. */
function textOf(bytes: Buffer, charset: string | undefined, isCut: boolean): string | undefined {
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    try {
      return new TextDecoder(charset).decode(bytes, { stream: isCut })
    } catch {
      // An unknown charset is read as UTF-8.
    }
  }
  if (bytes.includes(0)) return undefined
  // A cut may be inside of a character, which has at most four bytes.
  const isText = isUtf8(bytes) || (isCut && [1, 2, 3].some((count) => isUtf8(bytes.subarray(0, -count))))
  return isText ? new TextDecoder().decode(bytes, { stream: isCut }) : undefined
}

async function bytesOf(
  answer: IncomingMessage,
  coding: string,
  ended: AbortSignal,
): Promise<{ bytes: Buffer; cut: TextBody['cut'] }> {
  const parts: Buffer[] = []
  let size = 0
  const decoded = pipeline([answer, firstBytes(maxReceivedBytes), ...decoders(coding)], () => {})
  try {
    for await (const part of decoded as unknown as AsyncIterable<Buffer>) {
      parts.push(part.subarray(0, maxShownBytes - size))
      size += part.length
      if (size > maxShownBytes) return { bytes: Buffer.concat(parts), cut: 'size' }
    }
    return { bytes: Buffer.concat(parts), cut: undefined }
  } catch (error) {
    const bytes = Buffer.concat(parts)
    if (ended.aborted) return { bytes, cut: 'time' }
    if (error instanceof BodyTooLargeError) return { bytes, cut: 'size' }
    const { code = '' } = error as { code?: string }
    // zlib's codes begin with Z_, brotli's with ERR__.
    if (/^(Z_|ERR__)/.test(code)) throw new EgressRefusal('bad_answer', `the body is not valid ${coding}`)
    return { bytes, cut: 'lost' }
  } finally {
    answer.destroy()
  }
}

class BodyTooLargeError extends Error {}

function firstBytes(maxBytes: number): Transform {
  let left = maxBytes
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      left -= chunk.length
      if (left < 0) callback(new BodyTooLargeError())
      else callback(null, chunk)
    },
  })
}

/** @throws {EgressRefusal} for a coding that the request did not accept. */
function decoders(coding: string): Transform[] {
  if (coding === '' || coding === 'identity') return []
  if (coding === 'gzip' || coding === 'x-gzip') return [createGunzip()]
  if (coding === 'deflate') return [createInflate()]
  if (coding === 'br') return [createBrotliDecompress()]
  throw new EgressRefusal('bad_answer', `the body has a content coding that was not accepted: ${coding.slice(0, 50)}`)
}
