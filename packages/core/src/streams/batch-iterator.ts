/**
 * Iterates the items of batches. Unlike a generator, its `return` does not wait for a pending `next`; `close` must end that
 * call. A loop over a silent stream can therefore be left without delay.
 *
 * @param isOver is checked before each item. If it returns true, the iteration ends.
 */
export function batchIterator<Item>(
  next: () => Promise<readonly Item[] | undefined>,
  close: () => void,
  isOver: () => boolean = () => false,
): AsyncIterableIterator<Item, void, undefined> {
  let batch: readonly Item[] = []
  let at = 0
  let isDone = false
  // Concurrent calls of next() run one after the other.
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
    return { done: false, value: batch[at - 1] as Item } // the index is in range
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
