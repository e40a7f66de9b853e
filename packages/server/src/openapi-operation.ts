import { z } from 'zod'
import type { ZodOpenApiOperationObject } from 'zod-openapi'
import { errorAnswer } from './answer-schemas.ts'

/** What an operation takes and answers. */
export interface OperationParts {
  /** What generated clients call it. */
  id: string
  summary: string
  answer: z.ZodType
  /** Default 200. */
  status?: number
  /** Another status with the same answer. */
  alsoStatus?: number
  path?: z.ZodObject
  query?: z.ZodObject
  header?: z.ZodObject
  body?: z.ZodObject
  /** A body that succeeds as it is: a page fills its form with it. */
  example?: object
  isBodyOptional?: boolean
  /** What the answer holds as `text/event-stream`: beside JSON, or in place of it where there is no other answer. */
  events?: z.ZodType
}

/** What every POST takes beside its body. */
const keyed = z.object({
  'idempotency-key': z.string().max(255).optional().meta({
    description: 'The same key with the same request is done once, and answered the same for 24 hours.',
  }),
})

/** A POST. */
export function post(parts: OperationParts): ZodOpenApiOperationObject {
  return operation({ ...parts, header: keyed })
}

/** An operation of the document. */
export function operation(parts: OperationParts): ZodOpenApiOperationObject {
  const { id, summary, status = 200, alsoStatus, path, query, header, body, example, isBodyOptional = false } = parts
  const good = { description: summary, content: contentOf(parts) }
  return {
    operationId: id,
    summary,
    requestParams: { ...(path && { path }), ...(query && { query }), ...(header && { header }) },
    ...(body && {
      requestBody: {
        required: !isBodyOptional,
        content: { 'application/json': { schema: body, ...(example && { example }) } },
      },
    }),
    responses: {
      [status]: good,
      ...(alsoStatus && { [alsoStatus]: good }),
      // Every documented code has the one envelope.
      default: { description: 'An error', content: { 'application/json': { schema: errorAnswer } } },
    },
  }
}

function contentOf({ answer, events }: OperationParts) {
  return {
    ...(answer !== events && { 'application/json': { schema: answer } }),
    ...(events && { 'text/event-stream': { schema: events } }),
  }
}
