/**
 * Schemas of answers, for the OpenAPI document and for tests. Checked against core's wire types.
 *
 * @module
 */
import type {
  AgentFileContent,
  AgentFileEntry,
  AgentStatusInfo,
  ErrorEnvelope,
  ExecResult,
  OkBody,
  RunAccepted,
  SessionUsage,
  Task,
  UsageSummary,
  WireAgent,
  WireSession,
} from '@theazo/core'
import { z } from 'zod'
import { idleTimeout, limits, metadata, network } from './schemas.ts'

/** An id in the server's format. */
export const id = (prefix: string) =>
  z
    .string()
    .regex(new RegExp(`^${prefix}_[0-9A-HJKMNP-TV-Z]{26}$`))
    .meta({ example: `${prefix}_01HX3K2M4N5P6Q7R8S9T0V1W2X` })
const time = z.iso.datetime()
const count = z.int().min(0)
const truncated = z
  .literal(true)
  .optional()
  .meta({ description: 'The value was stored by an earlier version and exceeds the present limit.' })

/** Amount in cents. */
export const money = z.strictObject({ amount: z.int(), currency: z.literal('usd') }).meta({ id: 'Money' })

export const sessionAnswer = z
  .strictObject({
    id: id('ses'),
    userId: z.string(),
    status: z.enum(['active', 'paused', 'terminated']),
    limits,
    metadata,
    metadataTruncated: truncated,
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Session' })

export const taskAnswer = z
  .strictObject({
    id: id('task'),
    agentId: id('agt'),
    status: z.enum(['queued', 'running', 'paused', 'completed', 'failed', 'cancelled']),
    prompt: z.string(),
    promptTruncated: truncated,
    output: z.string().optional(),
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
    cost: money,
    usage: z.strictObject({ inputTokens: count, outputTokens: count }),
    createdAt: time,
    startedAt: time.optional(),
    finishedAt: time.optional(),
  })
  .meta({ id: 'Task' })

export const agentAnswer = z
  .strictObject({
    id: id('agt'),
    sessionId: id('ses'),
    name: z.string().optional(),
    metadata: metadata.optional(),
    metadataTruncated: truncated,
    status: z.enum(['booting', 'idle', 'running', 'paused', 'failed', 'terminated']),
    reason: z.string().optional(),
    compute: z.strictObject({ provider: z.string() }),
    model: z.strictObject({ id: z.string() }).nullable(),
    browser: z.boolean(),
    instructions: z.string().nullable(),
    instructionsTruncated: truncated,
    tools: z.array(z.string()),
    timeout: z.int().meta({ description: 'Seconds.' }),
    network: network.optional(),
    idleTimeout: idleTimeout.optional(),
    approvals: z.array(z.string()).optional(),
    task: taskAnswer.nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Agent' })

export const agentStatusAnswer = z
  .strictObject({
    status: z.enum(['booting', 'ready', 'running', 'paused', 'completed', 'failed']).meta({
      description: "The agent's status in the SDK's words: `ready` for `idle`, `completed` for `terminated`.",
    }),
    duration: z
      .string()
      .meta({ description: 'Time since the creation of the agent, up to its end if it has ended.', example: '3m 12s' }),
    cost: money.meta({ description: 'Cost of the agent so far.' }),
    task: z.string().meta({ description: 'The prompt of the latest task; empty if there is none.' }),
    provider: z.string(),
    region: z.string(),
  })
  .meta({ id: 'AgentStatusInfo' })

export const execAnswer = z
  .strictObject({
    stdout: z.string(),
    stderr: z.string(),
    exitCode: z.int(),
    durationMs: count,
    stdoutTruncated: z.literal(true).optional(),
    stderrTruncated: z.literal(true).optional(),
    files: z
      .array(z.strictObject({ path: z.string(), sizeBytes: count, mediaType: z.string().optional() }))
      .max(100)
      .optional(),
    filesTruncated: z.literal(true).optional(),
  })
  .meta({ id: 'ExecResult' })

export const fileListAnswer = z
  .array(z.strictObject({ name: z.string(), size: count.meta({ description: 'Bytes.' }), modified: time }))
  .meta({ id: 'FileList' })

export const fileContentAnswer = z
  .strictObject({
    data: z.string(),
    encoding: z
      .enum(['utf-8', 'base64'])
      .meta({ description: '`utf-8` if the bytes are valid UTF-8, otherwise `base64`.' }),
  })
  .meta({ id: 'FileContent' })

export const sessionUsageAnswer = z
  .strictObject({
    cost: money,
    computeMinutes: z.number().min(0),
    activeAgents: count.meta({ description: 'Neither terminated nor failed.' }),
    totalAgentsCreated: count,
  })
  .meta({ id: 'SessionUsage' })

export const runAnswer = z.strictObject({ taskId: id('task'), agentId: id('agt') }).meta({ id: 'RunAccepted' })

export const okAnswer = z.strictObject({ ok: z.literal(true) }).meta({ id: 'Ok' })

export const usageAnswer = z
  .strictObject({
    period: z.strictObject({ from: time, until: time }),
    compute: z.strictObject({ minutes: z.number().min(0), cost: money }),
    models: z.strictObject({ inputTokens: count, outputTokens: count, cost: money }),
    storage: z.strictObject({ gb: z.number().min(0).meta({ description: 'GB-months.' }), cost: money }),
    total: money,
  })
  .meta({ id: 'UsageSummary' })

export const errorAnswer = z
  .strictObject({
    error: z.strictObject({
      code: z.string(),
      message: z.string(),
      details: z.record(z.string(), z.unknown()).optional(),
      requestId: id('req'),
    }),
  })
  .meta({ id: 'Error' })

/** A page of a list. */
export function pageAnswer<Item extends z.ZodType>(item: Item, name: string) {
  return z
    .strictObject({
      data: z.array(item),
      nextCursor: z.string().regex(/^cur_/).meta({ example: 'cur_01HX3K2M4N5P6Q7R8S9T0V1W2X' }).optional(),
      hasMore: z.boolean(),
    })
    .meta({ id: name })
}

/** True if the schema accepts every value of the wire type. */
type Fits<A, B> = [A] extends [B] ? true : never

true satisfies Fits<WireSession, z.input<typeof sessionAnswer>>
true satisfies Fits<WireAgent, z.input<typeof agentAnswer>>
true satisfies Fits<AgentStatusInfo, z.input<typeof agentStatusAnswer>>
true satisfies Fits<AgentFileEntry[], z.input<typeof fileListAnswer>>
true satisfies Fits<AgentFileContent, z.input<typeof fileContentAnswer>>
true satisfies Fits<SessionUsage, z.input<typeof sessionUsageAnswer>>
true satisfies Fits<Task, z.input<typeof taskAnswer>>
true satisfies Fits<ExecResult, z.input<typeof execAnswer>>
true satisfies Fits<RunAccepted, z.input<typeof runAnswer>>
true satisfies Fits<OkBody, z.input<typeof okAnswer>>
true satisfies Fits<UsageSummary, z.input<typeof usageAnswer>>
true satisfies Fits<ErrorEnvelope, z.input<typeof errorAnswer>>
