/** The last work on each folder. */
const queues = new Map<string, Promise<unknown>>()

/**
 * Runs work on a folder after all earlier work on it: a disk must not be mounted while it is unmounted or removed.
 *
 * @throws the error of the work; errors of earlier work are ignored.
 */
export async function queueOnFolder<Result>(folder: string, work: () => Promise<Result>): Promise<Result> {
  const before = queues.get(folder)
  const queued = (async () => {
    await before?.catch(() => {})
    return await work()
  })()
  queues.set(folder, queued)
  try {
    return await queued
  } finally {
    if (queues.get(folder) === queued) queues.delete(folder)
  }
}
