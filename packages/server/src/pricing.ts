import type { Money } from '@theazo/core'

/**
 * All prices, in integer micro-cents (a millionth of a cent). They match the reference's example of a usage summary
 * (contract, Usage). Amounts are rounded to cents once, in the answer.
 *
 * @module
 */

const microCentsPerCent = 1_000_000
const msPerMinute = 60_000
/** A month of storage has 730 hours, a twelfth of a year. */
const msPerStorageMonth = 730 * 60 * msPerMinute

const computeMinute = 5 * microCentsPerCent
const storageGbMonth = 10 * microCentsPerCent

/** Cost of sandbox time, in micro-cents. */
export function computeCost(ms: number): number {
  return Math.round((ms * computeMinute) / msPerMinute)
}

/** Milliseconds of one sandbox that the given micro-cents buy. */
export function computeMsFor(microCents: number): number {
  return (microCents * msPerMinute) / computeMinute
}

/** Converts byte-milliseconds of storage to GB-months; a GB is 10^9 bytes. */
export function gbMonths(byteMs: number): number {
  return byteMs / 1e9 / msPerStorageMonth
}

/** Cost of storage, in micro-cents. */
export function storageCost(byteMs: number): number {
  return Math.round(gbMonths(byteMs) * storageGbMonth)
}

/** Converts cents to micro-cents. */
export function microCents(cents: number): number {
  return cents * microCentsPerCent
}

/** Converts micro-cents to cents, unrounded. */
export function centsOf(amountMicroCents: number): number {
  return amountMicroCents / microCentsPerCent
}

/** Rounds to whole cents, the wire format. */
export function toMoney(amountMicroCents: number): Money {
  return { amount: Math.round(centsOf(amountMicroCents)), currency: 'usd' }
}
