/**
 * Schemas of the events in streams, for the OpenAPI document. Each event is one object; `data` is the JSON of its `data:`
 * line (contract, Events and exec).
 *
 * @module
 */
import { z } from 'zod'
import { execAnswer, id, money } from './answer-schemas.ts'

const taskId = id('task')
const text = z.string()
const fault = { code: z.string(), message: z.string() }

function event<Name extends string, Data extends z.ZodRawShape>(name: Name, data: Data, parts: z.ZodRawShape = {}) {
  return z.strictObject({ ...parts, event: z.literal(name), data: z.strictObject(data) })
}

/** The number of an event in its agent's log: a value for `lastEventId`. */
const numbered = {
  id: z
    .string()
    .regex(/^[1-9]\d*$/)
    .meta({ example: '7' }),
}

/** An event of `GET /agents/{id}/stream`. */
export const agentEvent = z
  .union([
    event('thinking', { text, id: z.string().optional(), taskId }, numbered),
    event('tool_call', { id: z.string(), tool: z.string(), input: z.unknown(), taskId }, numbered),
    event(
      'tool_result',
      {
        id: z.string(),
        tool: z.string(),
        output: z.unknown(),
        isError: z.boolean(),
        durationMs: z.int().min(0),
        taskId,
      },
      numbered,
    ),
    event('output_delta', { text, restart: z.literal(true).optional(), taskId }, numbered),
    event('tool_output', { id: z.string(), stream: z.enum(['stdout', 'stderr']), text, taskId }, numbered),
    event('output', { text, cost: money, taskId }, numbered),
    event('error', { ...fault, resumable: z.boolean().optional(), taskId }, numbered),
    event(
      'status',
      {
        status: z.enum(['booting', 'idle', 'running', 'paused', 'failed', 'terminated']),
        taskId: taskId.optional(),
        reason: z.enum(['approval_required', 'retried_tool', 'limit']).optional(),
        toolCall: z.unknown().optional(),
      },
      numbered,
    ),
  ])
  .meta({ id: 'AgentEvent', description: 'One event of the stream; `data` is sent as JSON on one line.' })

/** An event of `POST /agents/{id}/exec` with `Accept: text/event-stream`. */
export const execEvent = z
  .union([
    event('stdout', { text }),
    event('stderr', { text }),
    z.strictObject({ event: z.literal('exit'), data: execAnswer }),
    event('error', { ...fault, details: z.record(z.string(), z.unknown()).optional(), requestId: id('req') }),
  ])
  .meta({
    id: 'ExecEvent',
    description: 'One event of the stream; `data` is sent as JSON on one line. The last event is `exit` or `error`.',
  })
