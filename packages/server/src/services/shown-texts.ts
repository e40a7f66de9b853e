import type { Metadata } from '@theazo/core'
import { maxMetadataBytes, maxTextBytes } from '../schemas.ts'

/** Rows of an earlier version may be larger than what is accepted now: answers show them cut, and say so. */
export function shownMetadata(stored: string): { metadata: Metadata; metadataTruncated?: true } {
  if (Buffer.byteLength(stored) <= maxMetadataBytes) return { metadata: JSON.parse(stored) as Metadata }
  return { metadata: {}, metadataTruncated: true }
}

/** The same for instructions and tasks. @returns the text to show, and whether it is cut. */
export function shownText(stored: string): [text: string, isTruncated: boolean] {
  if (stored.length <= maxTextBytes && Buffer.byteLength(stored) <= maxTextBytes) return [stored, false]
  const bytes = Buffer.from(stored).subarray(0, maxTextBytes)
  return [new TextDecoder().decode(bytes, { stream: true }), true] // no half character at the end
}
