import type { Context } from 'hono'
import type { z } from 'zod'
import { ApiError } from '../errors.ts'

/**
 * Reads a JSON body, whatever its content type says: the reference's own curl examples send none.
 *
 * An absent body is `{}`. Unknown fields are dropped.
 *
 * @throws {ApiError} 422 that names each field at fault.
 */
export async function readBody<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await c.req.text()
  let json: unknown = {}
  if (text.trim() !== '') {
    try {
      json = JSON.parse(text)
    } catch {
      throw ApiError.invalid({ body: ['is not valid JSON'] })
    }
  }
  return validate(json, schema, 'body')
}

/** @param name of the whole, for faults that belong to no single field. */
export function validate<T>(value: unknown, schema: z.ZodType<T>, name: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const fields: Record<string, string[]> = {}
  for (const { path, message } of parsed.error.issues) (fields[path.join('.') || name] ??= []).push(message)
  throw ApiError.invalid(fields)
}
