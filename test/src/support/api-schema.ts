import assert from 'node:assert/strict'
import { Ajv2020, type AnySchemaObject, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

/** The parts of an OpenAPI document that answers are checked against. */
export interface OpenApiDocument {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, AnySchemaObject> }
}

interface Operation {
  operationId?: string
  parameters?: { in: string; name: string; schema: AnySchemaObject }[]
  requestBody?: { content: Record<string, { schema: AnySchemaObject; example?: object }> }
  responses: Record<string, { content?: Record<string, { schema?: AnySchemaObject }> }>
}

/** The parts of an API answer that the OpenAPI document describes. */
interface DocumentedAnswer {
  method: string
  /** Below the base URL, without the query. */
  path: string
  status: number
  /** Without its parameters. */
  mediaType: string
  /** Undefined for a stream. */
  body?: unknown
}

/** Checks answers against the server's `GET /openapi.json`. */
export class ApiSchema {
  readonly document: OpenApiDocument
  readonly #ajv: Ajv2020
  readonly #validators = new Map<string, ValidateFunction>()

  constructor(document: OpenApiDocument) {
    this.document = document
    this.#ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true })
    this.#ajv.addVocabulary(['example', 'components']) // OpenAPI's own
    addFormats.default(this.#ajv)
    this.#ajv.addSchema({ $id: documentId, components: document.components })
  }

  /** @param url the base URL. */
  static async of(url: string): Promise<ApiSchema> {
    const response = await fetch(new URL('/openapi.json', url))
    assert.equal(response.status, 200)
    return new ApiSchema((await response.json()) as OpenApiDocument) // openapi.test.ts validates it
  }

  /** Fails the test if the document does not allow the answer. Undocumented fields are not allowed. */
  assertAllows(answer: DocumentedAnswer): void {
    const { method, path, status, mediaType, body } = answer
    const title = `${method} ${path} ${status}`
    const responses = this.operationOf(method, path)?.responses
    // Answers to an unknown path or method are errors, too.
    const response = responses
      ? (responses[status] ?? responses['default'])
      : { content: { [json]: { schema: error } } }
    assert(status >= 400 || responses?.[status], `${title} is not documented`)
    assert(response?.content?.[mediaType], `${title} is not documented to be ${mediaType}`)
    const name = /^#\/components\/schemas\/(\w+)$/.exec(String(response.content[mediaType].schema?.['$ref']))?.[1]
    assert(name, `${title} has no schema of its own as ${mediaType}`)
    if (mediaType !== 'text/event-stream') this.assertIs(name, body, title)
  }

  /** Fails the test if the value, an answer or one event of a stream, does not match the schema of this name. */
  assertIs(name: string, value: unknown, title = name): void {
    const validate = this.#validatorOf(name)
    if (validate(value)) return
    const problems = this.#ajv.errorsText(validate.errors)
    assert.fail(`${title} is not as documented: ${problems}\n${JSON.stringify(value)}`)
  }

  /** Each schema is compiled once. */
  #validatorOf(name: string): ValidateFunction {
    const reference = `#/components/schemas/${name}`
    const compiled = this.#validators.get(reference)
    if (compiled) return compiled
    const validate = this.#ajv.compile({ $ref: documentId + reference })
    this.#validators.set(reference, validate)
    return validate
  }

  /** The operation of the most specific path template; undefined if the document has no such path and method. */
  operationOf(method: string, path: string): Operation | undefined {
    const template = Object.keys(this.document.paths)
      .filter((candidate) => new RegExp(`^${candidate.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`).test(path))
      .toSorted((a, b) => b.indexOf('{') - a.indexOf('{'))[0]
    return template === undefined ? undefined : this.document.paths[template]?.[method.toLowerCase()]
  }
}

const documentId = 'openapi.json'
const json = 'application/json'
const error: AnySchemaObject = { $ref: '#/components/schemas/Error' }
