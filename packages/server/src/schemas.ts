/**
 * What requests must look like. Checked against core's wire types, so that client and server cannot drift.
 *
 * @module
 */
import type { CreateAgentBody, CreateSessionBody, ExecBody, SessionForUserBody } from '@theazo/core'
import { z } from 'zod'

const limits = z.object({
  maxCost: z
    .object({
      amount: z.int('must be an integer number of cents').min(0),
      currency: z.literal('usd', "must be 'usd'"),
      period: z.enum(['session', 'day', 'month']),
    })
    .optional(),
  maxAgents: z.int().min(0).optional(),
  maxComputeMinutes: z.number().min(0).optional(),
})

const metadata = z.record(z.string(), z.unknown())

export const userId = z
  .string()
  .min(1, 'must not be empty')
  .max(256, 'must be at most 256 characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode: half a surrogate pair cannot be stored')

export const sessionForUserBody = z.object({ limits: limits.optional(), metadata: metadata.optional() })

export const createSessionBody = sessionForUserBody.extend({ userId })

export const createAgentBody = z.object({
  compute: z.object({ provider: z.string() }).optional(),
  model: z.object({ id: z.string() }).optional(),
  browser: z.boolean().optional(),
  instructions: z.string().optional(),
  tools: z.array(z.string()).optional(),
  timeout: z.int().min(1, 'must be at least 1 second').max(86_400, 'must be at most 86400 seconds').optional(),
})

export const execBody = z.object({
  lang: z.enum(['python', 'typescript', 'bash'], "must be 'python', 'typescript' or 'bash'"),
  code: z.string('must be a string: the code to run'),
})

/** True where both types accept the same; else the line that uses it does not compile. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never

true satisfies Same<z.output<typeof createSessionBody>, CreateSessionBody>
true satisfies Same<z.output<typeof sessionForUserBody>, SessionForUserBody>
true satisfies Same<z.output<typeof createAgentBody>, CreateAgentBody>
true satisfies Same<z.output<typeof execBody>, ExecBody>
