import { truncate } from '@theazo/core/tools'

/** What a result says, to models and to programs. */
export interface BoundedContent {
  text: string
  data: Record<string, unknown>
}

/** Bytes of JSON for text and data; a megabyte less what four links with their notes take. */
const maxBytes = 800_000
const halfBytes = maxBytes / 2
/** JSON writes a control character as six bytes; none takes more. */
const maxBytesPerChar = 6

/**
 * Bounds a result. Hardly any needs it: the catalog bounds characters, and JSON may make six bytes of one.
 *
 * Of the data, lists are cut first, then texts; `xTruncated` beside a field `x` says so. Types stay as they are, so what
 * is cut passes the schema of the whole. Undefined if even that is too large.
 */
export function boundedContent(text: string, data: object): BoundedContent | undefined {
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

/** Tighter and tighter: the items of each list first, then the characters of each text. */
const steps: readonly Limits[] = [
  { chars: Infinity, items: Infinity },
  ...[256, 128, 64, 32, 16, 8, 4, 2, 1].map((items) => ({ chars: Infinity, items })),
  ...[16_384, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32].map((chars) => ({ chars, items: 0 })),
]

function boundedData(data: Record<string, unknown>, bytes: number): Record<string, unknown> | undefined {
  const tightest = steps.at(-1)
  if (tightest && jsonBytes(cutData(data, tightest)) > bytes) return undefined
  for (const limits of steps) {
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
