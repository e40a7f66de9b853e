import type { Metadata } from '@theazo/core'
import { maxMetadataBytes, maxTextBytes } from '../schemas.ts'

/** Metadata in an answer. If an earlier version stored more than the limit, it is omitted and flagged. */
export function shownMetadata(stored: string): { metadata: Metadata; metadataTruncated?: true } {
  if (Buffer.byteLength(stored) <= maxMetadataBytes) return { metadata: JSON.parse(stored) as Metadata }
  return { metadata: {}, metadataTruncated: true }
}

/** Instructions or a prompt in an answer, truncated if stored over the limit. @returns the text, and if it is truncated. */
export function shownText(stored: string): [text: string, isTruncated: boolean] {
  if (stored.length <= maxTextBytes && Buffer.byteLength(stored) <= maxTextBytes) return [stored, false]
  const bytes = Buffer.from(stored).subarray(0, maxTextBytes)
  return [new TextDecoder().decode(bytes, { stream: true }), true] // no half character at the end
}
