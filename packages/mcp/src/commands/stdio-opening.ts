import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { namesVersion } from '../protocol.ts'

/** The first message of any client is shorter. */
const maxBytes = 64 * 1024
const newline = 10

/**
 * Reads the first line of a stream, puts it back, and returns true if it is a message that names its own version: the
 * client speaks protocol 2026-07-28. A client of an older protocol sends `initialize`. Without a line it never resolves.
 */
export async function opensWithVersion(stream: Readable): Promise<boolean> {
  let read = Buffer.alloc(0)
  while (!read.includes(newline) && read.length < maxBytes) {
    const chunk: Buffer | null = stream.read()
    if (chunk) read = Buffer.concat([read, chunk])
    else await once(stream, 'readable')
  }
  stream.unshift(read)
  const end = read.indexOf(newline)
  try {
    return end !== -1 && namesVersion(JSON.parse(read.subarray(0, end).toString()))
  } catch {
    return false // the transport reports what is not JSON
  }
}
