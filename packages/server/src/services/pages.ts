import type { Page } from '@theazo/core'

/** Which part of a list: at most `limit` items, from what follows `cursor`. */
export interface PageQuery {
  limit: number
  cursor?: string | undefined
}

/**
 * The page of rows that were read newest first, one more than the limit. The cursor is the last row's id, which sorts
 * by time: it stays valid whatever is added before it.
 */
export function pageOf<Row extends { id: string }, Item>(
  rows: readonly Row[],
  { limit }: PageQuery,
  toWire: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const hasMore = rows.length > limit && last !== undefined
  const data = shown.map((row) => toWire(row))
  return hasMore ? { data, nextCursor: `cur_${last.id.slice(last.id.indexOf('_') + 1)}`, hasMore } : { data, hasMore }
}

/** The id that a page begins after; above every id without a cursor. */
export function idBefore(prefix: 'ses' | 'agt', { cursor }: PageQuery): string {
  return cursor === undefined ? `${prefix}_~` : `${prefix}_${cursor.slice('cur_'.length)}`
}
