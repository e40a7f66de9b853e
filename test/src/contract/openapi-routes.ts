/** The part of JSON Schema that the OpenAPI document uses. */
export interface JsonSchema {
  type?: string
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  enum?: unknown[]
  const?: unknown
  anyOf?: JsonSchema[]
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  pattern?: string
}

/** A method of a path, from the server's OpenAPI document. */
export interface Route {
  /** In upper case. */
  method: string
  /** Under `/v1`, e.g. `/agents/{id}`. */
  path: string
  /** `GET /agents/{id}`, for test names. */
  name: string
  /** The schemas of its query parameters, by name. */
  query: Record<string, JsonSchema>
  body: JsonSchema | undefined
  /** Of its success answers. */
  statuses: number[]
}

interface Operation {
  parameters?: { in: string; name: string; schema: JsonSchema }[]
  requestBody?: { content: { 'application/json': { schema: JsonSchema } } }
  responses: Record<string, unknown>
}

/** Every route of `GET /openapi.json`, so that new routes are included automatically. */
export async function openapiRoutes(baseUrl: string, fetch: typeof globalThis.fetch): Promise<Route[]> {
  const response = await fetch(new URL('/openapi.json', baseUrl))
  // From the server itself; a wrong shape fails the tests that read it.
  const { paths } = (await response.json()) as { paths: Record<string, Record<string, Operation>> }
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([verb, { parameters = [], requestBody, responses }]) => {
      const method = verb.toUpperCase()
      const query = parameters.filter((parameter) => parameter.in === 'query')
      return {
        method,
        path,
        name: `${method} ${path}`,
        query: Object.fromEntries(query.map(({ name, schema }) => [name, schema])),
        body: requestBody?.content['application/json'].schema,
        statuses: Object.keys(responses).map(Number).filter(Boolean),
      }
    }),
  )
}

/** The smallest value that the schema accepts: only required fields. */
export function sampleOf(schema: JsonSchema): unknown {
  const { type, properties = {}, required = [], anyOf } = schema
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.enum[0]
  if (anyOf?.[0]) return sampleOf(anyOf[0])
  if (type === 'object') return Object.fromEntries(required.map((name) => [name, sampleOf(properties[name] ?? {})]))
  if (type === 'array') return []
  if (type === 'boolean') return false
  if (type === 'number' || type === 'integer') return schema.minimum ?? 1
  return 'x'
}
