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
 * The page of rows that were found newest first, one more than the limit: as many as it may have by number and by size,
 * at least one. The cursor is the last row's id, which sorts by time: it stays valid whatever is added before it.
 *
 * @param read reads the rows of these ids whole, in their order.
 */
export async function readPage<Item>(
  found: readonly SizedRow[],
  limit: number,
  read: (ids: string[]) => Promise<Item[]>,
): Promise<Page<Item>> {
  let size = 0
  const shown = found.slice(0, limit).filter((row, index) => (size += row.size) <= maxPageChars || index === 0)
  const data = await read(shown.map(({ id }) => id))
  const last = shown.at(-1)
  const hasMore = found.length > shown.length && last !== undefined
  return hasMore ? { data, nextCursor: `cur_${last.id.slice(last.id.indexOf('_') + 1)}`, hasMore } : { data, hasMore }
}

/** The id that a page begins after; above every id without a cursor. */
export function idBefore(prefix: 'ses' | 'agt', { cursor }: PageQuery): string {
  return cursor === undefined ? `${prefix}_~` : `${prefix}_${cursor.slice('cur_'.length)}`
}
