/**
 * Iterates what comes in batches. Unlike a generator's, its `return` does not wait for a `next` under way: `close` must
 * end that one. So a stream that is left while it is silent lets its connection go.
 *
 * @param isOver looked at before each item: nothing more is given then.
 */
export function batchIterator<Item>(
  next: () => Promise<readonly Item[] | undefined>,
  close: () => void,
  isOver: () => boolean = () => false,
): AsyncIterableIterator<Item, void, undefined> {
  let batch: readonly Item[] = []
  let at = 0
  let isDone = false
  // Calls that come at once are answered one after the other.
  let tail: Promise<unknown> = Promise.resolve()
  const finish = (): IteratorResult<Item, void> => {
    isDone = true
    close()
    return { done: true, value: undefined }
  }
  const step = async (): Promise<IteratorResult<Item, void>> => {
    try {
      while (at >= batch.length) {
        if (isDone) return finish()
        const more = await next()
        if (!more) return finish()
        batch = more
        at = 0
      }
      if (isDone || isOver()) return finish()
    } catch (error) {
      finish()
      throw error
    }
    at += 1
    return { done: false, value: batch[at - 1] as Item } // below its length
  }
  return {
    next() {
      const result = tail.then(step)
      tail = result.catch(() => {})
      return result
    },
    async return() {
      return finish()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
