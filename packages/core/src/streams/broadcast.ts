/** How many items a consumer may be behind, and how many are kept at least for one that joins late. */
const windowSize = 256

/** What a source brings at once. */
type Batch<Item> = readonly Item[]

/**
 * One source, any number of consumers that each see every item.
 *
 * The source is pulled for whoever is furthest ahead, but never while another consumer is {@link windowSize} items
 * behind: a slow consumer slows the source. One that joins late starts with the oldest batch still kept. Batches are
 * passed on as they are, so that an item costs nothing on its way.
 */
export class Broadcast<Item> {
  /** Undefined at the source's end. */
  readonly #pull: () => Promise<Batch<Item> | undefined>
  /** Marks the first item of a consumer that joins after items were dropped. */
  readonly #markGap: (item: Item) => Item
  readonly #cursors = new Set<Cursor<Item>>()
  #kept: Batch<Item>[] = []
  #keptItems = 0
  /** The number of the first batch kept. */
  #first = 0
  #isPulling = false
  #waiting: PromiseWithResolvers<void> | undefined
  #end: { error?: unknown } | undefined

  constructor(pull: () => Promise<Batch<Item> | undefined>, markGap: (item: Item) => Item) {
    this.#pull = pull
    this.#markGap = markGap
  }

  get consumerCount(): number {
    return this.#cursors.size
  }

  subscribe(): Cursor<Item> {
    const cursor: Cursor<Item> = new Cursor(
      this.#first,
      () => this.#next(cursor),
      () => {
        this.#cursors.delete(cursor)
        this.#wake()
      },
    )
    this.#cursors.add(cursor)
    return cursor
  }

  /** Ends it for all consumers, those that wait included; `error` rejects them. */
  end(end: { error?: unknown }): void {
    this.#end ??= end
    this.#wake()
  }

  async #next(cursor: Cursor<Item>): Promise<Batch<Item> | undefined> {
    for (;;) {
      if (cursor.isClosed) return undefined
      const batch = this.#kept[cursor.position - this.#first]
      if (batch) return this.#give(cursor, batch)
      if (this.#end) {
        if ('error' in this.#end) throw this.#end.error
        return undefined
      }
      // What is pulled wakes those that wait; so do a slow consumer that moves on, an end and a close.
      this.#waiting ??= Promise.withResolvers()
      const { promise } = this.#waiting
      if (!this.#isPulling && this.#hasRoom()) void this.#load()
      await promise
    }
  }

  #give(cursor: Cursor<Item>, batch: Batch<Item>): Batch<Item> {
    const isLate = cursor.position === cursor.start && cursor.start > 0
    cursor.position += 1
    if (this.#cursors.size > 1) this.#wake() // one of them may wait for this one
    return isLate ? batch.map((item, index) => (index === 0 ? this.#markGap(item) : item)) : batch
  }

  async #load(): Promise<void> {
    this.#isPulling = true
    try {
      const batch = await this.#pull()
      if (batch) this.#keep(batch)
      else this.#end ??= {}
    } catch (error) {
      this.#end ??= { error }
    } finally {
      this.#isPulling = false
      this.#wake()
    }
  }

  #keep(batch: Batch<Item>): void {
    this.#kept.push(batch)
    this.#keptItems += batch.length
    const slowest = this.#slowest()
    for (let oldest = this.#kept[0]; oldest && this.#first < slowest; oldest = this.#kept[0]) {
      if (this.#keptItems - oldest.length < windowSize) return
      this.#kept.shift()
      this.#keptItems -= oldest.length
      this.#first += 1
    }
  }

  #hasRoom(): boolean {
    let unseen = 0
    for (let at = this.#slowest() - this.#first; at < this.#kept.length; at += 1) unseen += this.#kept[at]?.length ?? 0
    return unseen < windowSize
  }

  #slowest(): number {
    let slowest = Number.POSITIVE_INFINITY
    for (const { position } of this.#cursors) slowest = Math.min(slowest, position)
    return slowest
  }

  #wake(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}

/** One consumer's place. */
export class Cursor<Item> {
  readonly start: number
  /** The number of the batch it is given next. */
  position: number
  isClosed = false
  readonly #next: () => Promise<Batch<Item> | undefined>
  readonly #leave: () => void

  constructor(start: number, next: () => Promise<Batch<Item> | undefined>, leave: () => void) {
    this.start = start
    this.position = start
    this.#next = next
    this.#leave = leave
  }

  /** The next items, waiting until there are some; undefined at the end. */
  next(): Promise<Batch<Item> | undefined> {
    return this.#next()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#leave()
  }
}
