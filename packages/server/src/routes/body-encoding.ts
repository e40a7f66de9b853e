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

/** How the body is encoded; undefined if it is sent as it is. @throws {ApiError} 422 for what this server cannot read. */
export function bodyEncoding(header: string | undefined): keyof typeof decoders | undefined {
  const name = header?.trim().toLowerCase() ?? ''
  if (name === '' || name === 'identity') return undefined
  if (Object.hasOwn(decoders, name)) return name as keyof typeof decoders // by the line itself
  throw ApiError.invalid({
    'content-encoding': [`must be gzip, deflate or br, or left out, not '${name.slice(0, maxShownChars)}'`],
  })
}

/**
 * Decodes a body. It never takes more memory than the bound: a kilobyte may stand for a megabyte.
 *
 * @param maxBytes of what comes out.
 * @returns undefined where there is more than that.
 * @throws {ApiError} 422 for bytes that are not so encoded.
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
    throw ApiError.invalid({ body: [`is not valid ${encoding}, which its content-encoding says`] })
  }
}
