/**
 * Schemas of requests. Checked against core's wire types, so that client and server cannot drift.
 *
 * @module
 */
import type {
  CreateAgentBody,
  CreateAgentExtensions,
  CreateSessionBody,
  ExecBody,
  ExecExtensions,
  SessionForUserBody,
  UpdateSessionBody,
  WriteAgentFileBody,
} from '@theazo/core'
import { z } from 'zod'
import { closedObject } from './closed-object.ts'
import { maxPatternChars, parsePattern } from './network/host-pattern.ts'

const maxCost = closedObject({
  amount: z.int('must be an integer number of cents').min(0),
  currency: z.literal('usd', "must be 'usd'"),
  period: z.enum(['session', 'day', 'month']),
})
const maxAgents = z.int().min(0)
const maxComputeMinutes = z.number().min(0)

export const limits = closedObject({
  maxCost: maxCost.optional(),
  maxAgents: maxAgents.optional(),
  maxComputeMinutes: maxComputeMinutes.optional(),
})

/** Maximum size of one `metadata` object as JSON (contract, Basics). */
export const maxMetadataBytes = 64 * 1024

export const metadata = z
  .record(z.string(), z.unknown())
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= maxMetadataBytes, 'must be at most 64 KiB of JSON')

/** Maximum size of `instructions` and of `task` (contract, Basics). */
export const maxTextBytes = 256 * 1024
export const hasPromptSize = (text: string): boolean => Buffer.byteLength(text) <= maxTextBytes
export const tooLongPrompt = 'must be at most 256 KiB'
const shortName = z.string().max(256, 'must be at most 256 characters')

/** Text that is stored unchanged. */
export const storedText = z
  .string()
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode: a lone surrogate cannot be stored')

export const userId = storedText
  .min(1, 'must not be empty')
  .max(256, 'must be at most 256 characters')
  // URL parsers remove these segments from a path in every encoding (WHATWG URL, 4.4): no request could name this user.
  .refine((id) => !/^\.{1,2}$/.test(id), "must not be '.' or '..': a URL path cannot contain it")

export const sessionForUserBody = z.object({ limits: limits.optional(), metadata: metadata.optional() })

export const createSessionBody = sessionForUserBody.extend({ userId })

export const updateSessionBody = z.object({
  limits: closedObject({
    maxCost: maxCost.nullable().optional(),
    maxAgents: maxAgents.nullable().optional(),
    maxComputeMinutes: maxComputeMinutes.nullable().optional(),
  })
    .nullable()
    .optional(),
  metadata: metadata.nullable().optional(),
})

/**
 * An integer in a query, where every value is text. The OpenAPI document declares an integer, so that generated clients
 * accept a number.
 *
 * @param documented the bounds, as JSON Schema.
 */
function queryInteger(
  pattern: RegExp,
  message: string,
  documented: { minimum: number; maximum: number; default?: number },
) {
  return z
    .string()
    .regex(pattern, message)
    .meta({
      override({ jsonSchema }) {
        delete jsonSchema.pattern
        Object.assign(jsonSchema, { type: 'integer', ...documented })
      },
    })
    .transform(Number)
}

/** Query parameters of every list (contract, Basics). */
const pageQuery = z.object({
  limit: queryInteger(/^([1-9]\d?|100)$/, 'must be an integer from 1 to 100', {
    minimum: 1,
    maximum: 100,
    default: 25,
  }).default(25),
  cursor: z
    .string()
    .regex(/^cur_[0-9A-HJKMNP-TV-Z]{26}$/, 'is not a cursor of this server: send the nextCursor of the previous page')
    .optional(),
})

export const listSessionsQuery = pageQuery.extend({
  userId: userId.optional(),
  status: z.enum(['active', 'paused', 'terminated']).optional(),
})

export const listAgentsQuery = pageQuery.extend({
  status: z.enum(['booting', 'idle', 'running', 'paused', 'failed', 'terminated']).optional(),
  name: z.string().optional(),
})

/** Hosts that a sandbox may reach. Entries are stored as they were sent. */
export const network = closedObject({
  allow: z
    .array(
      z
        .string()
        .max(maxPatternChars, `must be at most ${maxPatternChars} characters`)
        .superRefine((entry, { addIssue }) => {
          const pattern = parsePattern(entry)
          if (typeof pattern === 'string') addIssue({ code: 'custom', message: pattern })
        }),
    )
    .max(100, 'must be at most 100 entries')
    .meta({
      description:
        'Host names, `*.` followed by a name, `*`, or public IP addresses, each with an optional `:port`. Without a ' +
        'port: 80 and 443.',
    }),
})

/** Bounds of `idleTimeout.seconds`. */
export const idleTimeoutBounds = { min: 60, max: 604_800 } as const
const idleSeconds = 'must be a whole number of seconds from 60 to 604800 (7 days)'

/** When an unused agent is terminated or paused. */
export const idleTimeout = closedObject({
  seconds: z.int(idleSeconds).min(idleTimeoutBounds.min, idleSeconds).max(idleTimeoutBounds.max, idleSeconds),
  action: z.enum(['terminate', 'pause'], "must be 'terminate' or 'pause'"),
}).meta({
  description:
    'Terminates or pauses the agent after `seconds` without an exec, a run, a file operation or an open event stream; ' +
    'its `reason` then names the idle timeout. The time starts at the end of the last use, at a resume, or at a restart ' +
    'of the server. For `terminate` a paused agent is idle: it is terminated `seconds` after its pause.',
})

export const createAgentBody = z.object({
  name: storedText.min(1, 'must not be empty').max(128, 'must be at most 128 characters').optional(),
  metadata: metadata.optional(),
  compute: z.object({ provider: shortName }).optional().meta({
    description: 'Also accepts the string `python` or `node`, which the official TypeScript SDK sends (see README).',
  }),
  model: z.object({ id: shortName }).optional(),
  browser: z.boolean().optional(),
  instructions: storedText.refine(hasPromptSize, tooLongPrompt).optional(),
  tools: z.array(shortName).max(100, 'must be at most 100 entries').optional(),
  approvals: z.array(shortName).max(100, 'must be at most 100 entries').optional().meta({
    description: 'Tools of the agent whose calls wait for an approval: the agent pauses before each call.',
  }),
  network: network.optional(),
  idleTimeout: idleTimeout.optional(),
  timeout: z.int().min(1, 'must be at least 1 second').max(86_400, 'must be at most 86400 seconds').optional(),
})

/** Runtimes that the official SDK names. Every sandbox of this server has both. */
const runtime = z.enum(
  ['python', 'node'],
  "must be an object, 'python' or 'node': every sandbox has both; Go is not available",
)

/** {@link createAgentBody}, where `compute` may be the name of a runtime (official SDK). It does not choose a provider. */
export const createAgentRequest = z.preprocess((value, { addIssue }) => {
  if (typeof value !== 'object' || value === null || !('compute' in value)) return value
  const { compute, ...rest } = value
  if (typeof compute !== 'string') return value
  const { error } = runtime.safeParse(compute)
  if (error) addIssue({ code: 'custom', path: ['compute'], message: error.issues[0]?.message ?? '' })
  return rest
}, createAgentBody)

const maxEnvNames = 256
/** Linux accepts no single variable longer than this (execve(2), MAX_ARG_STRLEN). */
const maxEnvBytes = 131_071

const language = z.enum(['python', 'typescript', 'bash'], "must be 'python', 'typescript' or 'bash'")

export const execBody = z.object({
  lang: language.meta({
    description: 'Also accepted as `language`, which the official TypeScript SDK sends (extension `official-sdk`).',
  }),
  code: z.string('must be a string: the code to run'),
  timeoutMs: z
    .int()
    .min(1, 'must be at least 1 millisecond')
    .max(120_000, 'must be at most 120000 milliseconds')
    .optional(),
  env: z
    .record(
      z.string().regex(/^[^=\0]{1,1024}$/, 'a name must be 1 to 1024 characters without = and NUL'),
      z.string().regex(/^[^\0]*$/, 'must not contain NUL'),
    )
    .refine((env) => Object.keys(env).length <= maxEnvNames, `must have at most ${maxEnvNames} names`)
    .refine((env) => sizeOfEnv(env) <= maxEnvBytes, `must be at most ${maxEnvBytes} bytes in total`)
    .optional(),
  cwd: z
    .string()
    .regex(/^[^\0]{1,4095}$/, 'must be 1 to 4095 characters without NUL')
    .optional(),
  stdin: z.union([z.string(), z.object({ base64: z.base64('must be base64') })]).optional(),
})

/** {@link execBody}, where `language` is another name for `lang`. The parsed body has `lang` only. */
export const execRequest = z.preprocess((value, { addIssue }) => {
  if (typeof value !== 'object' || value === null || !('language' in value)) return value
  const { language: sent, ...rest } = value
  const issue = (message: string): void => addIssue({ code: 'custom', path: ['language'], message })
  if ('lang' in rest) {
    if (rest.lang !== sent) issue('is another name for lang and must have the same value; send only one of them')
    return rest
  }
  const { error } = language.safeParse(sent)
  if (error) issue(error.issues[0]?.message ?? '')
  return { lang: sent, ...rest }
}, execBody)

function sizeOfEnv(env: Record<string, string>): number {
  return Object.entries(env).reduce((sum, [name, value]) => sum + Buffer.byteLength(`${name}=${value}`) + 1, 0)
}

/** Path of a file or a folder in the file routes. */
export const filePath = storedText.regex(/^[^\0]{0,4095}$/, 'must be at most 4095 characters without NUL')

export const listFilesQuery = z.object({
  dir: filePath.default('/').meta({ description: "Path of a folder; `/` is the agent's `/workspace`." }),
})

export const writeFileBody = z.object({
  path: filePath.min(1, 'must not be empty').meta({ description: "Relative to the agent's `/workspace`." }),
  data: storedText,
  encoding: z.enum(['utf-8', 'base64'], "must be 'utf-8' or 'base64'").optional().meta({ default: 'utf-8' }),
})

/** {@link writeFileBody}, with `data` checked against `encoding`. */
export const writeFileRequest = writeFileBody.superRefine(({ data, encoding }, { addIssue }) => {
  if (encoding !== 'base64' || z.base64().safeParse(data).success) return
  addIssue({ code: 'custom', path: ['data'], message: "must be base64 because encoding is 'base64'" })
})

/** Number of the event after which a stream continues. */
export const eventId = queryInteger(/^\d{1,15}$/, 'must be the id of an event, a whole number', {
  minimum: 0,
  maximum: 999_999_999_999_999,
})

export const streamQuery = z.object({ lastEventId: eventId.optional() })

/** The range of ISO 8601 dates with four-digit years. A time zone can move a date-time beyond it. */
const [earliestMs, latestMs] = [Date.parse('0000-01-01'), Date.parse('9999-12-31T23:59:59.999Z')]

/** A date, or a date-time with a time zone. A date is its first moment in UTC. */
const time = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })], 'must be an ISO 8601 date, or a date-time with a time zone')
  .transform((text) => Date.parse(text))
  .refine((ms) => ms >= earliestMs && ms <= latestMs, 'must be in the years 0000 to 9999 (UTC)')

export const usageQuery = z.object({
  from: time.optional(),
  until: time.optional(),
  sessionId: z.string().optional(),
  userId: userId.optional(),
  keyId: z.string().optional(),
})

/** True if both types accept the same values; otherwise the line that uses it does not compile. */
export type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never

true satisfies Same<z.output<typeof createSessionBody>, CreateSessionBody>
true satisfies Same<z.output<typeof sessionForUserBody>, SessionForUserBody>
true satisfies Same<z.output<typeof updateSessionBody>, UpdateSessionBody>
true satisfies Same<z.output<typeof createAgentRequest>, CreateAgentBody & CreateAgentExtensions>
true satisfies Same<z.output<typeof execRequest>, ExecBody & ExecExtensions>
true satisfies Same<z.output<typeof writeFileRequest>, WriteAgentFileBody>
