import type { Context } from 'hono'
import type { z } from 'zod'
import { ApiError } from '../errors.ts'
import { bodyEncoding, decodeBody } from './body-encoding.ts'
import { crowdedField, maxNameChars, shapeFault } from './body-shape.ts'
import type { Environment } from './environment.ts'
import { readHeader, tellHeader } from './headers.ts'

/** Contract, Basics: code, standard input and files may be large, nothing else. */
const maxLargeBodyMiB = 10
const hasLargeBody = /\/(exec|files)$/
const maxBodyMiB = 1
/** Bytes that are read of a body which is refused; a client that sends more loses its connection. */
const maxDroppedBytes = 100 * 1024 * 1024
/** Bytes after which the values of a body are counted for the first time. */
const earlyBytes = 128 * 1024
/** Faults that one answer names. */
const maxFaults = 20

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
 * Keeps no more than the limit. What is beyond is read all the same and dropped: a connection that is closed with a body
 * still coming in is reset, often before the client has read why.
 */
export async function readText(c: Context<Environment>): Promise<string> {
  const known = c.get('bodyText')
  if (known !== undefined) return known
  const maxMiB = hasLargeBody.test(c.env.pattern) ? maxLargeBodyMiB : maxBodyMiB
  const maxBodyBytes = maxMiB * 1024 * 1024
  const encoding = bodyEncoding(readHeader(c.req.raw, c.env, 'content-encoding'))
  const toldBytes = Number(readHeader(c.req.raw, c.env, 'content-length'))
  const chunks: Uint8Array[] = []
  let sizeBytes = toldBytes > maxDroppedBytes ? toldBytes : 0
  let early: string | undefined
  let isLookedAt = false
  for await (const chunk of sizeBytes > 0 ? [] : (c.req.raw.body ?? [])) {
    sizeBytes += chunk.length
    if (sizeBytes > maxDroppedBytes) break
    if (early === undefined && sizeBytes <= maxBodyBytes) chunks.push(chunk)
    if (isLookedAt || encoding !== undefined || sizeBytes < earlyBytes) continue
    // What the beginning has too much of, the whole has too: then the rest is neither kept nor decoded.
    isLookedAt = true
    early = shapeFault(Buffer.concat(chunks).toString('latin1'))
  }
  if (sizeBytes > maxDroppedBytes) tellHeader(c.env, 'connection', 'close')
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
  for (const { path, message } of issues.slice(0, maxFaults)) {
    const field = path.map((part) => String(part).slice(0, maxNameChars)).join('.') || name
    ;(fields[field] ??= []).push(message)
  }
  throw ApiError.invalid(fields)
}

function isUnknownField({ code }: z.core.$ZodIssue): boolean {
  return code === 'unrecognized_keys'
}
