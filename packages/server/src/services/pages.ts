import type { Page } from '@theazo/core'

/** A part of a list: at most `limit` items after `cursor`. */
export interface PageQuery {
  limit: number
  cursor?: string | undefined
}

/** A row's id and its stored characters, which decide how many rows a page has. */
export interface SizedRow {
  id: string
  size: number
}

/** Maximum characters of one page: a hundred large rows must neither fill the memory nor delay other requests. */
const maxPageChars = 512 * 1024

/**
 * Makes a page: as many rows as the limit and the maximum size allow, at least one. The cursor is the last row's id, which
 * sorts by time: it stays valid if rows are added before it.
 *
 * @param found rows, newest first; one more than the limit if there are more.
 * @param read reads the complete rows of these ids, in the same order.
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

/** The id before the first row of a page; without a cursor it sorts after every id. */
export function idBefore(prefix: 'ses' | 'agt', { cursor }: PageQuery): string {
  return cursor === undefined ? `${prefix}_~` : `${prefix}_${cursor.slice('cur_'.length)}`
}
