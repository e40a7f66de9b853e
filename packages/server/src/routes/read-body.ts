import type { Context } from 'hono'
import type { z } from 'zod'
import { ApiError } from '../errors.ts'

/** Contract, Basics. */
const maxBodyBytes = 10 * 1024 * 1024

/**
 * Reads a JSON body, whatever its content type says: the reference's own curl examples send none.
 *
 * An absent body is `{}`. Unknown fields are dropped.
 *
 * @throws {ApiError} 422 that names each field at fault.
 */
export async function readBody<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await readText(c)
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

/** Reads no more than the limit, told or not; hono's own middleware for it needs the globals to be replaced. */
async function readText(c: Context): Promise<string> {
  if (Number(c.req.header('content-length')) > maxBodyBytes) refuse(c)
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of c.req.raw.body ?? []) {
    sizeBytes += chunk.length
    if (sizeBytes > maxBodyBytes) refuse(c)
    chunks.push(chunk)
  }
  return new TextDecoder().decode(Buffer.concat(chunks))
}

function refuse(c: Context): never {
  // The rest of the body is not read, so the connection cannot carry another request.
  c.header('connection', 'close')
  throw ApiError.invalid({ body: ['is larger than 10 MiB'] })
}

/** @param name of the whole, for faults that belong to no single field. */
export function validate<T>(value: unknown, schema: z.ZodType<T>, name: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const fields: Record<string, string[]> = {}
  for (const { path, message } of parsed.error.issues) (fields[path.join('.') || name] ??= []).push(message)
  throw ApiError.invalid(fields)
}
