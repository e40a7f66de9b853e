/** Reproducible random numbers: the same seed returns the same numbers. */
export class Chance {
  readonly seed: number
  #state: number

  /** @param seed default: `THEAZO_SEED`, or a random seed. */
  constructor(seed: number = Number(process.env['THEAZO_SEED'] ?? Math.floor(Math.random() * 2 ** 31))) {
    this.seed = seed
    this.#state = seed
  }

  /** From 0 to just below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number of the range, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  /** True with this probability, in percent. */
  percent(share: number): boolean {
    return this.next() * 100 < share
  }
}
