import type { Money } from '@theazo/core'

/**
 * All prices, in integer micro-cents (a millionth of a cent): what the reference's example of a usage summary costs
 * (contract, Usage). Rounded to cents once, at the edge.
 *
 * @module
 */

const microCentsPerCent = 1_000_000
const msPerMinute = 60_000
/** A month of storage has 730 hours: a twelfth of a year, whatever the calendar. */
const msPerStorageMonth = 730 * 60 * msPerMinute

const computeMinute = 5 * microCentsPerCent
const storageGbMonth = 10 * microCentsPerCent

/** Of wall time of sandboxes. */
export function computeCost(ms: number): number {
  return Math.round((ms * computeMinute) / msPerMinute)
}

/** Milliseconds of one sandbox that so many micro-cents buy. */
export function computeMsFor(microCents: number): number {
  return (microCents * msPerMinute) / computeMinute
}

/** From bytes kept times milliseconds to GB-months; a GB is 10^9 bytes. */
export function gbMonths(byteMs: number): number {
  return byteMs / 1e9 / msPerStorageMonth
}

/** Of files kept. */
export function storageCost(byteMs: number): number {
  return Math.round(gbMonths(byteMs) * storageGbMonth)
}

/** From cents, as callers give them. */
export function microCents(cents: number): number {
  return cents * microCentsPerCent
}

/** As the API tells it: whole cents. */
export function toMoney(amountMicroCents: number): Money {
  return { amount: Math.round(amountMicroCents / microCentsPerCent), currency: 'usd' }
}
