import { InvalidResponseError } from '../errors.ts'
import type { Page } from '../wire.ts'

/** Options of every list. */
export interface ListOptions {
  /** Items per page, 1 to 100. Default: the server's 25. */
  limit?: number | undefined
  /** The `nextCursor` of the previous page. Default: the list starts with its first page. */
  cursor?: string | undefined
  /** Ends the listing with the signal's reason. */
  signal?: AbortSignal | undefined
}

/**
 * A list, newest first. Iterate it for every item, or read it page by page. It makes no request before that.
 *
 * @example
 * ```ts
 * for await (const session of theazo.sessions.list()) console.log(session.id)
 * ```
 */
export class PagedList<Item> implements AsyncIterable<Item> {
  readonly #fetch: (cursor: string | undefined) => Promise<Page<Item>>
  readonly #options: ListOptions

  constructor(fetch: (cursor: string | undefined) => Promise<Page<Item>>, options: ListOptions) {
    this.#fetch = fetch
    this.#options = options
  }

  /**
   * The page at the `cursor` of the options; without a cursor the first page.
   *
   * @example
   * ```ts
   * const { data, nextCursor } = await theazo.sessions.list({ limit: 10 }).page()
   * const next = await theazo.sessions.list({ limit: 10, cursor: nextCursor }).page()
   * ```
   */
  page(): Promise<Page<Item>> {
    return this.#fetch(this.#options.cursor)
  }

  /**
   * All pages from the `cursor` of the options to the last.
   *
   * @throws {InvalidResponseError} if the server repeats a cursor.
   * @example
   * ```ts
   * for await (const { data } of theazo.sessions.list({ limit: 100 }).pages()) console.log(data.length)
   * ```
   */
  async *pages(): AsyncGenerator<Page<Item>, void, undefined> {
    const seen = new Set<string>()
    for (let { cursor } = this.#options; ;) {
      this.#options.signal?.throwIfAborted()
      const page = await this.#fetch(cursor)
      yield page
      if (!page.nextCursor) return
      if (seen.has(page.nextCursor) || page.nextCursor === cursor) {
        const message = `The server repeated the cursor ${page.nextCursor}: the list would never end.`
        throw new InvalidResponseError(message, { code: 'invalid_response' })
      }
      seen.add(page.nextCursor)
      cursor = page.nextCursor
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    for await (const { data } of this.pages()) {
      for (const item of data) {
        this.#options.signal?.throwIfAborted()
        yield item
      }
    }
  }
}

/** @throws {InvalidResponseError} if the body is not a page. */
export function itemsOf<Item>({ data }: Page<Item>): Item[] {
  if (Array.isArray(data)) return data
  throw new InvalidResponseError('The server responded with a page that has no array "data".', {
    code: 'invalid_response',
  })
}
