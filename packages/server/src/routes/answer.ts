import type { Call } from './environment.ts'

/**
 * Makes the answer, with all that was told by `tellHeader`. Not by Hono's own `c.json`: with headers of our own that makes a
 * `Headers` of each, which costs as much as all else about a request.
 */
export function answer({ told }: Call, body: BodyInit | null, contentType: string, status = 200): Response {
  told['content-type'] = contentType
  return new Response(body, { status, headers: told })
}

/** The same for JSON. */
export function answerJson(call: Call, value: object, status = 200): Response {
  return answerText(call, JSON.stringify(value), status)
}

/** The same for JSON that is text already. */
export function answerText(call: Call, json: string, status = 200): Response {
  call.answered = json
  return answer(call, json, 'application/json', status)
}
