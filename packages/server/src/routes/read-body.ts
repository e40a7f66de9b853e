import type { Context } from 'hono'
import type { z } from 'zod'
import { ApiError } from '../errors.ts'
import type { Environment } from './environment.ts'
import { readHeader, tellHeader } from './headers.ts'

/** Contract, Basics. */
const maxBodyBytes = 10 * 1024 * 1024
/** Bytes that are read of a body which is refused; a client that sends more loses its connection. */
const maxDroppedBytes = 100 * 1024 * 1024
/** Levels of objects and arrays within each other. */
const maxDepth = 100

/**
 * Reads a JSON body, whatever its content type says: the reference's own curl examples send none.
 *
 * An absent body is `{}`. Unknown fields are dropped.
 *
 * @throws {ApiError} 422 that names each field at fault.
 */
export async function readBody<T>(c: Context<Environment>, schema: z.ZodType<T>): Promise<T> {
  const text = await readText(c)
  let json: unknown = {}
  if (text.trim() !== '') {
    try {
      json = JSON.parse(text)
    } catch {
      throw ApiError.invalid({ body: ['is not valid JSON'] })
    }
  }
  if (isDeeper(json, maxDepth)) throw ApiError.invalid({ body: [`is nested more than ${maxDepth} levels deep`] })
  return validate(json, schema, 'body')
}

/** JSON.parse takes any depth; what walks the value by recursion, JSON.stringify among it, does not. */
function isDeeper(json: unknown, depth: number): boolean {
  let level: unknown[] = [json]
  for (let left = depth; level.length > 0; left -= 1) {
    level = level
      .filter((value) => typeof value === 'object' && value !== null)
      .flatMap((value) => Object.values(value))
    if (left === 0 && level.length > 0) return true
  }
  return false
}

/**
 * Keeps no more than the limit. What is beyond is read all the same and dropped: a connection that is closed with a body
 * still coming in is reset, often before the client has read why.
 */
export async function readText(c: Context<Environment>): Promise<string> {
  const known = c.get('bodyText')
  if (known !== undefined) return known
  const toldBytes = Number(readHeader(c.req.raw, c.env, 'content-length'))
  const chunks: Uint8Array[] = []
  let sizeBytes = toldBytes > maxDroppedBytes ? toldBytes : 0
  for await (const chunk of sizeBytes > 0 ? [] : (c.req.raw.body ?? [])) {
    sizeBytes += chunk.length
    if (sizeBytes > maxDroppedBytes) break
    if (sizeBytes <= maxBodyBytes) chunks.push(chunk)
  }
  if (sizeBytes > maxDroppedBytes) tellHeader(c.env, 'connection', 'close')
  if (sizeBytes > maxBodyBytes) throw ApiError.invalid({ body: ['is larger than 10 MiB'] })
  const text = decoded(Buffer.concat(chunks))
  c.set('bodyText', text)
  return text
}

/** @throws {ApiError} 422: what is no UTF-8 would be stored as something else than was sent. */
function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw ApiError.invalid({ body: ['is not valid UTF-8'] })
  }
}

/** @throws {ApiError} 422 that names each parameter at fault. Unknown ones are ignored; of a repeated one the first counts. */
export function readQuery<T>(c: Context, schema: z.ZodType<T>): T {
  return validate(c.req.query(), schema, 'query')
}

/** @param name of the whole, for faults that belong to no single field. */
export function validate<T>(value: unknown, schema: z.ZodType<T>, name: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const fields: Record<string, string[]> = {}
  // Unknown fields first: a misspelt one is why the right one is missing, and the first fault is the error's message.
  const issues = parsed.error.issues.toSorted((a, b) => Number(isUnknownField(b)) - Number(isUnknownField(a)))
  for (const { path, message } of issues) (fields[path.join('.') || name] ??= []).push(message)
  throw ApiError.invalid(fields)
}

function isUnknownField({ code }: z.core.$ZodIssue): boolean {
  return code === 'unrecognized_keys'
}
