import { truncate } from '@theazo/core/tools'

/** A result or a part of it: `text` for models, `data` for programs. */
export interface TextAndData {
  text: string
  data: Record<string, unknown>
}

/** Bytes of JSON for text and data: one megabyte minus room for four links with their notes. */
const maxBytes = 800_000
const halfBytes = maxBytes / 2
/** JSON writes a control character as six bytes, which is the maximum for any character. */
const maxBytesPerChar = 6

/**
 * Limits the size of a result. Few results need it: the catalog already limits characters, but JSON may write one
 * character as six bytes.
 *
 * In the data, lists are cut first, then strings; `xTruncated: true` beside a field `x` marks the cut. Types do not
 * change, so the cut data still passes the schema. Returns undefined if the data is too large even then.
 */
export function boundedContent(text: string, data: object): TextAndData | undefined {
  const whole = data as Record<string, unknown> // an object of JSON
  const textBytes = jsonBytes(text)
  if (textBytes + jsonBytes(whole) <= maxBytes) return { text, data: whole }
  const smaller = boundedData(whole, Math.max(halfBytes, maxBytes - textBytes))
  return smaller && { text: boundedText(text, maxBytes - jsonBytes(smaller)), data: smaller }
}

/** UTF-8 bytes of a value as JSON. */
export function jsonBytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length
}

interface Limits {
  chars: number
  items: number
}

/** From loose to tight: first fewer items in each list, then fewer characters in each string. */
const limitSteps: readonly Limits[] = [
  { chars: Infinity, items: Infinity },
  ...[256, 128, 64, 32, 16, 8, 4, 2, 1].map((items) => ({ chars: Infinity, items })),
  ...[16_384, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32].map((chars) => ({ chars, items: 0 })),
]

function boundedData(data: Record<string, unknown>, bytes: number): Record<string, unknown> | undefined {
  const tightest = limitSteps.at(-1)
  if (tightest && jsonBytes(cutData(data, tightest)) > bytes) return undefined
  for (const limits of limitSteps) {
    const cut = cutData(data, limits)
    if (jsonBytes(cut) <= bytes) return cut
  }
  return undefined
}

function cutData(data: Record<string, unknown>, limits: Limits): Record<string, unknown> {
  const fields = Object.entries(data)
  const flags = fields.filter(([, value]) => isOver(value, limits)).map(([name]) => [`${name}Truncated`, true] as const)
  return Object.fromEntries([...fields.map(([name, value]) => [name, cutValue(value, limits)] as const), ...flags])
}

function isOver(value: unknown, { chars, items }: Limits): boolean {
  if (typeof value === 'string') return value.length > chars
  return Array.isArray(value) && value.length > items
}

function cutValue(value: unknown, limits: Limits): unknown {
  if (typeof value === 'string') return isOver(value, limits) ? value.slice(0, limits.chars).toWellFormed() : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.slice(0, limits.items).map((item) => cutValue(item, limits))
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, cutValue(field, limits)]))
}

function boundedText(text: string, bytes: number): string {
  if (jsonBytes(text) <= bytes) return text
  return truncate(text, Math.floor(bytes / maxBytesPerChar))
}
