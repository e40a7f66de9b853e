import type { Context } from 'hono'
import type { Environment } from './environment.ts'

/**
 * Makes an answer, with all that was told by `tellHeader`. Not by Hono's own `c.json`: with headers of our own that makes a
 * `Headers` of each, which costs as much as all else about a request.
 */
export function answer(c: Context<Environment>, body: BodyInit | null, contentType: string, status = 200): Response {
  return new Response(body, { status, headers: { 'content-type': contentType, ...c.get('told') } })
}

/** The same for JSON. */
export function answerJson(c: Context<Environment>, value: object, status = 200): Response {
  return answer(c, JSON.stringify(value), 'application/json', status)
}
