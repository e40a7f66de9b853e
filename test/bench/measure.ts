/** One line of the table: ours beside a peer that ran in turn with it. */
export interface Row {
  what: string
  ours: string
  peer: string
  theirs: string
  ratio: number
  /** What the ratio is to be; none: it is reported. */
  goal?: string
}

/** Sorted times in milliseconds of calls made in turn, so that all see the same machine; a tenth more goes before as warm-up. */
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

/** Of sorted values. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}

/** A row of times: lower is better. */
export function timeRow(what: string, ours: number, peer: string, theirs: number, goal?: string): Row {
  return { what, ours: ms(ours), peer, theirs: ms(theirs), ratio: ours / theirs, ...(goal && { goal }) }
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}
