/** One row of the table: our value and the value of a peer that was measured alternately in the same run. */
export interface Row {
  what: string
  ours: string
  peer: string
  theirs: string
  ratio: number
  /** The goal for the ratio (or for our value, if it starts with "ours"). Undefined if the row has no goal. */
  goal?: string
}

/**
 * Runs the calls alternately, so that load on the machine affects all of them, and returns the sorted times of each in
 * milliseconds. A warm-up of `count` / 10 rounds is not measured.
 */
export async function alternate(count: number, ...calls: (() => Promise<unknown>)[]): Promise<number[][]> {
  const times = calls.map((): number[] => [])
  for (let round = -Math.ceil(count / 10); round < count; round += 1) {
    for (const [index, call] of calls.entries()) {
      const startedAt = performance.now()
      await call()
      if (round >= 0) times[index]?.push(performance.now() - startedAt)
    }
  }
  return times.map((list) => list.toSorted((a, b) => a - b))
}

/** The percentile of sorted values. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}

/** A row of times in milliseconds; lower is better. */
export function timeRow(what: string, ours: number, peer: string, theirs: number, goal?: string): Row {
  return { what, ours: ms(ours), peer, theirs: ms(theirs), ratio: ours / theirs, ...(goal && { goal }) }
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}
