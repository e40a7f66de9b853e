/** The last work on each folder. */
const turns = new Map<string, Promise<unknown>>()

/**
 * Runs work on a folder after all earlier work on it: a disk must not be mounted while it is unmounted or removed.
 *
 * @throws what the work throws; an earlier failure is not passed on.
 */
export async function inTurn<Result>(folder: string, work: () => Promise<Result>): Promise<Result> {
  const before = turns.get(folder)
  const turn = (async () => {
    await before?.catch(() => {})
    return await work()
  })()
  turns.set(folder, turn)
  try {
    return await turn
  } finally {
    if (turns.get(folder) === turn) turns.delete(folder)
  }
}
