/**
 * Accepts what models often send in place of text: headers as an object, and a body as JSON. The schema cannot offer both
 * forms, because providers accept no unions.
 */
export function withTextFields<Input>(input: Input): Input {
  if (typeof input !== 'object' || input === null) return input
  const { headers, body } = input as { headers?: unknown; body?: unknown }
  return {
    ...input,
    ...(isObject(headers) && { headers: linesOf(headers) }),
    ...(isObject(body) && { body: JSON.stringify(body) }),
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function linesOf(headers: object): string {
  if (Array.isArray(headers)) return headers.map(String).join('\n')
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${String(value)}`)
    .join('\n')
}
