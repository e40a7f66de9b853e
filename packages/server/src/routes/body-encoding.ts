import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import { ApiError } from '../errors.ts'

const decoders = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip), // the same (RFC 9110, 8.4.1.3)
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
}
const maxShownChars = 40

/** The encoding of the body; undefined if it is not encoded. @throws {ApiError} 422 for an unsupported encoding. */
export function bodyEncoding(header: string | undefined): keyof typeof decoders | undefined {
  const name = header?.trim().toLowerCase() ?? ''
  if (name === '' || name === 'identity') return undefined
  if (Object.hasOwn(decoders, name)) return name as keyof typeof decoders // the condition proves it
  throw ApiError.invalid({
    'content-encoding': [`must be gzip, deflate or br, or absent, not '${name.slice(0, maxShownChars)}'`],
  })
}

/**
 * Decodes a body. It never uses more memory than `maxBytes`: a kilobyte may decode to a megabyte.
 *
 * @param maxBytes maximum size of the decoded body.
 * @returns undefined if the decoded body is larger.
 * @throws {ApiError} 422 if the bytes are not valid in this encoding.
 */
export async function decodeBody(
  bytes: Uint8Array,
  encoding: keyof typeof decoders,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  if (bytes.length === 0) return bytes
  try {
    return await decoders[encoding](bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined
    throw ApiError.invalid({ body: [`is not valid ${encoding}, the encoding in its content-encoding header`] })
  }
}
