/**
 * Messages from the process of the egress proxy to the server: one JSON object per line, on its standard output. That
 * process parses data of hostile hosts, so the server checks each message as if a hostile host had written it.
 *
 * @module
 */
import { z } from 'zod'
import { egressLimits } from './egress-limits.ts'
import type { EgressRecord } from './egress-record.ts'
import { egressOutcomes } from './refusal.ts'

/** One message. */
export type ProxyAnswer =
  | { kind: 'ready' }
  | { kind: 'pong' }
  /** The proxy of a sandbox accepts connections. */
  | { kind: 'opened'; number: number }
  | { kind: 'closed'; number: number }
  | { kind: 'failed'; number: number; reason: string }
  | { kind: 'ended'; number: number; record: EgressRecord }

/** A record with the longest host has about 500. */
export const maxAnswerBytes = 2048

const count = z.int().nonnegative()
const target = z.strictObject({ host: z.string().regex(/^[!-~]{1,253}$/), port: z.int().min(1).max(65_535) })
const record = z
  .strictObject({
    target: target.optional(), // JSON omits it if it is undefined
    outcome: z.enum(egressOutcomes),
    bytesUp: count,
    bytesDown: count,
    durationMs: count,
  })
  .transform(({ target: named, ...rest }): EgressRecord => ({ target: named, ...rest }))
const answer = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ready') }),
  z.strictObject({ kind: z.literal('pong') }),
  z.strictObject({ kind: z.literal('opened'), number: count }),
  z.strictObject({ kind: z.literal('closed'), number: count }),
  z.strictObject({ kind: z.literal('failed'), number: count, reason: z.string().max(egressLimits.maxReasonChars) }),
  z.strictObject({ kind: z.literal('ended'), number: count, record }),
])

/** @throws if it is not an answer. */
export function parseAnswer(line: string): ProxyAnswer {
  return answer.parse(JSON.parse(line))
}
