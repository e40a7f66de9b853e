import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { namesVersion } from '../protocol.ts'

/** The cap of the transports on one message. */
const maxBytes = 10 * 1024 * 1024
const newline = 10

/**
 * Reads the first line of a stream, puts it back, and returns true if it is a message that names its own version: the
 * client speaks protocol 2026-07-28. A client of an older protocol sends `initialize`. A line over 10 MiB is not read to
 * its end: the transport refuses it. Without a line it never resolves.
 */
export async function opensWithVersion(stream: Readable): Promise<boolean> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  let hasLine = false
  while (!hasLine && sizeBytes <= maxBytes) {
    const chunk: Buffer | null = stream.read()
    if (chunk) {
      chunks.push(chunk)
      sizeBytes += chunk.length
      hasLine = chunk.includes(newline)
    } else await once(stream, 'readable')
  }
  const read = Buffer.concat(chunks)
  stream.unshift(read)
  const end = read.indexOf(newline)
  try {
    return end !== -1 && namesVersion(JSON.parse(read.subarray(0, end).toString()))
  } catch {
    return false // the transport reports what is not JSON
  }
}
