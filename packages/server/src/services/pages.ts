import type { Page } from '@theazo/core'

/** Which part of a list: at most `limit` items, from what follows `cursor`. */
export interface PageQuery {
  limit: number
  cursor?: string | undefined
}

/** A row of a list before it is read whole: its stored characters decide how many rows a page holds. */
export interface SizedRow {
  id: string
  size: number
}

/** Characters of the rows of one page (contract, Basics): a page of a hundred large rows must not fill the memory. */
const maxPageChars = 4 * 1024 * 1024

/**
 * The rows of a page, newest first, of one more than the limit: as many as it may have by number and by size, at least one.
 */
export function rowsOfPage(rows: readonly SizedRow[], limit: number): SizedRow[] {
  let size = 0
  const fitting = rows.slice(0, limit).filter((row, index) => (size += row.size) <= maxPageChars || index === 0)
  return fitting
}

/**
 * The page of these items. The cursor is the last row's id, which sorts by time: it stays valid whatever is added before
 * it.
 *
 * @param rows that were found, of which the page has the first.
 */
export function pageOf<Item>(rows: readonly SizedRow[], shown: readonly SizedRow[], data: Item[]): Page<Item> {
  const last = shown.at(-1)
  const hasMore = rows.length > shown.length && last !== undefined
  return hasMore ? { data, nextCursor: `cur_${last.id.slice(last.id.indexOf('_') + 1)}`, hasMore } : { data, hasMore }
}

/** The id that a page begins after; above every id without a cursor. */
export function idBefore(prefix: 'ses' | 'agt', { cursor }: PageQuery): string {
  return cursor === undefined ? `${prefix}_~` : `${prefix}_${cursor.slice('cur_'.length)}`
}
