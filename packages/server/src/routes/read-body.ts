import type { Context } from 'hono'
import type { z } from 'zod'
import { ApiError } from '../errors.ts'
import { bodyEncoding, decodeBody } from './body-encoding.ts'
import { crowdedField, maxNameChars, shapeFault } from './body-shape.ts'
import type { Environment } from './environment.ts'
import { readHeader, setHeader } from './headers.ts'

/** Only code, standard input and files may be large (contract, Basics). */
const maxLargeBodyMiB = 10
const hasLargeBody = /\/(exec|files)$/
const maxBodyMiB = 1
/** A refused body is read up to this size; a client that sends more loses its connection. */
const maxDroppedBytes = 100 * 1024 * 1024
/** After this many bytes the beginning of a body is checked for too many values. */
const earlyBytes = 128 * 1024
/** Maximum number of faults in one answer. */
const maxFaults = 20

/**
 * Reads a JSON body and ignores its content type: the reference's curl examples send none.
 *
 * An absent body is `{}`. Unknown fields are dropped.
 *
 * @throws {ApiError} 422 that names each invalid field.
 */
export async function readBody<T>(c: Context<Environment>, schema: z.ZodType<T>): Promise<T> {
  const text = await readText(c)
  let json: unknown = {}
  const fault = shapeFault(text)
  if (fault !== undefined) throw ApiError.invalid({ body: [fault] })
  if (text.trim() !== '') {
    try {
      json = JSON.parse(text)
    } catch {
      throw ApiError.invalid({ body: ['is not valid JSON'] })
    }
  }
  const crowded = crowdedField(json)
  if (crowded) throw ApiError.invalid({ [crowded[0]]: [crowded[1]] })
  return validate(json, schema, 'body')
}

/**
 * Reads the text of the body up to the limit. Bytes beyond it are read too, and dropped: closing the connection during a
 * body resets it, often before the client has read the error.
 */
export async function readText(c: Context<Environment>): Promise<string> {
  const known = c.get('bodyText')
  if (known !== undefined) return known
  const maxMiB = hasLargeBody.test(c.env.pattern) ? maxLargeBodyMiB : maxBodyMiB
  const maxBodyBytes = maxMiB * 1024 * 1024
  const encoding = bodyEncoding(readHeader(c.req.raw, c.env, 'content-encoding'))
  const announcedBytes = Number(readHeader(c.req.raw, c.env, 'content-length'))
  const chunks: Uint8Array[] = []
  let sizeBytes = announcedBytes > maxDroppedBytes ? announcedBytes : 0
  let early: string | undefined
  let isLookedAt = false
  for await (const chunk of sizeBytes > 0 ? [] : (c.req.raw.body ?? [])) {
    sizeBytes += chunk.length
    if (sizeBytes > maxDroppedBytes) break
    if (early === undefined && sizeBytes <= maxBodyBytes) chunks.push(chunk)
    if (isLookedAt || encoding !== undefined || sizeBytes < earlyBytes) continue
    // A fault of the beginning is a fault of the whole body: the rest need not be stored or decoded.
    isLookedAt = true
    early = shapeFault(Buffer.concat(chunks).toString('latin1'))
  }
  if (sizeBytes > maxDroppedBytes) setHeader(c.env, 'connection', 'close')
  if (early !== undefined) throw ApiError.invalid({ body: [early] })
  const tooLarge = (): ApiError => ApiError.invalid({ body: [`is larger than ${maxMiB} MiB`] }) // an error costs a stack trace
  if (sizeBytes > maxBodyBytes) throw tooLarge()
  const sent = Buffer.concat(chunks)
  const bytes = encoding ? await decodeBody(sent, encoding, maxBodyBytes) : sent
  if (!bytes) throw tooLarge()
  const text = decoded(bytes)
  c.set('bodyText', text)
  return text
}

/** @throws {ApiError} 422 for invalid UTF-8, which would be stored differently from what was sent. */
function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw ApiError.invalid({ body: ['is not valid UTF-8'] })
  }
}

/**
 * Reads the query. Ignores unknown parameters, and all but the first value of a repeated one.
 *
 * @throws {ApiError} 422 that names each invalid parameter.
 */
export function readQuery<T>(c: Context, schema: z.ZodType<T>): T {
  return validate(c.req.query(), schema, 'query')
}

/** @param name of the whole value, for faults that belong to no single field. @throws {ApiError} 422. */
export function validate<T>(value: unknown, schema: z.ZodType<T>, name: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const fields: Record<string, string[]> = {}
  // Unknown fields first: the first fault is the error's message, and a misspelt name explains a missing field.
  const issues = parsed.error.issues.toSorted((a, b) => Number(isUnknownField(b)) - Number(isUnknownField(a)))
  for (const { path, message } of issues.slice(0, maxFaults)) {
    const field = path.map((part) => String(part).slice(0, maxNameChars)).join('.') || name
    ;(fields[field] ??= []).push(message)
  }
  throw ApiError.invalid(fields)
}

function isUnknownField({ code }: z.core.$ZodIssue): boolean {
  return code === 'unrecognized_keys'
}
