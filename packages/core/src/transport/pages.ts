import { InvalidResponseError } from '../errors.ts'
import type { Page } from '../wire.ts'

/** Which part of a list, and how much at once. */
export interface ListOptions {
  /** Items a page, 1 to 100. Default: the server's 25. */
  limit?: number | undefined
  /** The `nextCursor` of the page before. */
  cursor?: string | undefined
  /** Ends the listing with the signal's reason. */
  signal?: AbortSignal | undefined
}

/**
 * A list, newest first: iterate it for every item, or take it page by page. Nothing is asked before that.
 *
 * @example
 * ```ts
 * for await (const session of theazo.sessions.list()) console.log(session.id)
 * const { data, nextCursor } = await theazo.sessions.list({ limit: 10 }).page()
 * ```
 */
export class PagedList<Item> implements AsyncIterable<Item> {
  readonly #fetch: (cursor: string | undefined) => Promise<Page<Item>>
  readonly #options: ListOptions

  constructor(fetch: (cursor: string | undefined) => Promise<Page<Item>>, options: ListOptions) {
    this.#fetch = fetch
    this.#options = options
  }

  /** The page at the cursor, the first without one. */
  page(): Promise<Page<Item>> {
    return this.#fetch(this.#options.cursor)
  }

  /** Page after page, to the one without a `nextCursor`. @throws {InvalidResponseError} for a cursor that comes again. */
  async *pages(): AsyncGenerator<Page<Item>, void, undefined> {
    const seen = new Set<string>()
    for (let { cursor } = this.#options; ;) {
      this.#options.signal?.throwIfAborted()
      const page = await this.#fetch(cursor)
      yield page
      if (!page.nextCursor) return
      if (seen.has(page.nextCursor) || page.nextCursor === cursor) {
        const message = `The list repeats the cursor ${page.nextCursor}: it would never end.`
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

/** @throws {InvalidResponseError} for what is no page. */
export function itemsOf<Item>({ data }: Page<Item>): Item[] {
  if (Array.isArray(data)) return data
  throw new InvalidResponseError('A list was answered without its data.', { code: 'invalid_response' })
}
