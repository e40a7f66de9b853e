import type { RequestContext } from './environment.ts'

/**
 * Makes the answer, with the headers that `setHeader` has set. Does not use Hono's `c.json`, which creates a `Headers`
 * object for custom headers: that costs as much as the rest of a request.
 */
export function answer(
  { answerHeaders }: RequestContext,
  body: BodyInit | null,
  contentType: string,
  status = 200,
): Response {
  answerHeaders['content-type'] = contentType
  return new Response(body, { status, headers: answerHeaders })
}

/** Makes an answer from a value that is encoded as JSON. */
export function answerJson(context: RequestContext, value: object, status = 200): Response {
  return answerText(context, JSON.stringify(value), status)
}

/** Makes an answer from encoded JSON. */
export function answerText(context: RequestContext, json: string, status = 200): Response {
  context.answerBody = json
  return answer(context, json, 'application/json', status)
}
