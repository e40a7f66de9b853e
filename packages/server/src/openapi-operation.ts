import { z } from 'zod'
import type { ZodOpenApiOperationObject } from 'zod-openapi'
import { errorAnswer } from './answer-schemas.ts'

/** The request and the answer of an operation. */
export interface OperationParts {
  /** Name of the operation in generated clients. */
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
  /** A body that succeeds unchanged: the documentation page fills its form with it. */
  example?: object
  isBodyOptional?: boolean
  /** The events of a `text/event-stream` answer: beside JSON, or instead of it if `answer` is the same schema. */
  events?: z.ZodType
}

/** Headers that every POST accepts. */
const postHeaders = z.object({
  'idempotency-key': z.string().max(255).optional().meta({
    description: 'For 24 hours, the same request with the same key runs once and gets the same answer.',
  }),
})

/** A POST operation of the OpenAPI document. */
export function post(parts: OperationParts): ZodOpenApiOperationObject {
  return operation({ ...parts, header: postHeaders })
}

/** An operation of the OpenAPI document. */
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
      // Every documented code has the same envelope.
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
