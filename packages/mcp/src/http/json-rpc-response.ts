/** The JSON-RPC codes of refused HTTP requests. */
const codes = { parseError: -32_700, invalidRequest: -32_600, server: -32_000, sessionNotFound: -32_001 } as const

/** An HTTP response with a JSON-RPC error. No request id is known: the request was refused before it was read. */
export function jsonRpcResponse(
  status: number,
  code: keyof typeof codes,
  message: string,
  headers: Record<string, string> = {},
): Response {
  const body = { jsonrpc: '2.0', error: { code: codes[code], message }, id: null }
  return Response.json(body, { status, headers })
}
