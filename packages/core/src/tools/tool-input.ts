/**
 * The input of a tool: its JSON Schema for the model, and the check of the input that the model sent.
 *
 * @module
 */
import { z } from 'zod/v4'
import { cleanText } from './model-text.ts'
import { ToolInputError } from './tool-input-error.ts'

/** One property of an input. It has only JSON types that every provider accepts. */
interface InputProperty {
  type: 'string' | 'integer' | 'boolean'
  description?: string
  enum?: string[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
}

/** The JSON Schema of an input, for providers and MCP clients. */
export interface ToolInputSchema {
  type: 'object'
  properties: Record<string, ToolInputSchemaProperty>
  required: string[]
  additionalProperties: false
}

/** A property of the JSON Schema. The description contains the bounds: several strict modes refuse them as keywords. */
export type ToolInputSchemaProperty =
  | { type: 'string' | 'integer' | 'boolean'; description?: string; enum?: string[] }
  | { anyOf: [{ type: 'string' | 'integer' | 'boolean'; enum?: string[] }, { type: 'null' }]; description?: string }

/** The part of a tool definition that describes its input. */
export interface InputDefinition<Input> {
  name: string
  input: z.ZodType<Input>
  /** Accepted synonyms for the values of an enum, by field: `{ language: { py: 'python' } }`. */
  aliases?: Record<string, Record<string, string>> | undefined
}

/**
 * The JSON Schema of a tool's input.
 *
 * With `isStrict`, every property is required and optional ones may be null. The strict modes of OpenAI and others demand
 * that, and all other providers accept it. By default optional properties may be omitted.
 *
 * @example
 * ```ts
 * import { inputSchemaOf, selectTools } from '@theazo/core/tools'
 *
 * const functions = selectTools().map((tool) => {
 *   return { name: tool.name, description: tool.description, strict: true, parameters: inputSchemaOf(tool, { isStrict: true }) }
 * })
 * ```
 */
export function inputSchemaOf(
  { input }: { input: z.ZodType },
  { isStrict = false }: { isStrict?: boolean } = {},
): ToolInputSchema {
  const { properties, required } = shapeOf(input)
  const shown = Object.entries(properties).map(([name, property]): [string, ToolInputSchemaProperty] => {
    const { type, description } = property
    const value = { type, ...(property.enum && { enum: property.enum }) }
    const isNullable = isStrict && !required.includes(name)
    return [
      name,
      {
        ...(isNullable ? { anyOf: [value, { type: 'null' }] } : value),
        ...(description !== undefined && { description }),
      },
    ]
  })
  return {
    type: 'object',
    properties: Object.fromEntries(shown),
    required: isStrict ? Object.keys(properties) : required,
    additionalProperties: false,
  }
}

/**
 * Checks the input that a model or a program sent, and returns the input for the tool. It accepts deviations with a clear
 * meaning: null for an omitted field; 0 or -1 for an omitted field whose values start at 1; a number or a boolean as text;
 * a number out of bounds, which is moved to the bound; a name in another case or spelling; the whole input as JSON text.
 *
 * @throws {ToolInputError} that names each invalid field, what is wrong, and the valid values.
 * @example
 * ```ts
 * import { parseToolInput, runCode } from '@theazo/core/tools'
 *
 * const input = parseToolInput(runCode, '{"lang": "py", "code": "print(1)"}') // { language: 'python', code: 'print(1)' }
 * ```
 */
export function parseToolInput<Input>(definition: InputDefinition<Input>, raw: unknown): Input {
  const { name, input, aliases = {} } = definition
  const { properties, required } = shapeOf(input)
  const given = recordOf(name, raw)
  const values: Record<string, unknown> = {}
  for (const [field, property] of Object.entries(properties)) {
    const value = meantValue(property, valueOf(given, field, properties), aliases[field], !required.includes(field))
    if (value !== undefined) values[field] = value
  }
  const parsed = input.safeParse(values)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map(({ path, message }) => {
    const field = String(path[0] ?? 'input')
    const property = properties[field]
    if (!property) return `${field}: ${message}`
    if (values[field] === undefined)
      return `${field} is missing: ${expected(property)}. ${property.description ?? ''}`.trim()
    return `${field} must be ${expected(property)}, not ${shownValue(values[field])}.`
  })
  const unknown = Object.keys(given).filter((key) => !fieldOf(key, properties))
  const ignored = unknown.length > 0 ? ` Unknown fields: ${unknown.slice(0, 5).map(shownValue).join(', ')}.` : ''
  throw new ToolInputError(`${name} did not run. ${faults.join(' ')}${ignored}`)
}

interface InputShape {
  properties: Record<string, InputProperty>
  required: string[]
}

const shapes = new WeakMap<z.ZodType, InputShape>()

function shapeOf(input: z.ZodType): InputShape {
  const known = shapes.get(input)
  if (known) return known
  // Every input is an object of strings, enums, integers and booleans; a test checks that for all tools of the catalog.
  const { properties = {}, required = [] } = z.toJSONSchema(input, { io: 'input' }) as Partial<InputShape>
  const shape = { properties, required }
  shapes.set(input, shape)
  return shape
}

function recordOf(tool: string, raw: unknown): Record<string, unknown> {
  if (raw === undefined || raw === null) return {}
  const value = typeof raw === 'string' ? parsedJson(raw) : raw
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new ToolInputError(`${tool} did not run. Its input must be a JSON object, not ${shownValue(raw)}.`)
}

function parsedJson(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The value of a field by its name, else by another spelling: `timeout_seconds` is `timeoutSeconds`. */
function valueOf(given: Record<string, unknown>, field: string, properties: InputShape['properties']): unknown {
  if (Object.hasOwn(given, field)) return given[field]
  const key = Object.keys(given).find((key) => fieldOf(key, properties) === field)
  return key === undefined ? undefined : given[key]
}

function fieldOf(key: string, properties: InputShape['properties']): string | undefined {
  if (Object.hasOwn(properties, key)) return key
  const name = bareName(key)
  const fields = Object.keys(properties)
  return fields.find((field) => bareName(field) === name) ?? fields.find((field) => otherNames[field]?.includes(name))
}

/** Names of the same fields in other well-known tools, which models know from their training. */
const otherNames: Record<string, readonly string[]> = {
  language: ['lang'],
  code: ['source', 'script'],
  timeoutSeconds: ['timeout'],
  path: ['filepath', 'filename', 'file', 'dirpath', 'directory'],
  content: ['contents', 'filetext', 'text'],
  oldText: ['oldstring', 'oldstr'],
  newText: ['newstring', 'newstr'],
  task: ['prompt'],
}

function bareName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

/** The intended value; undefined for an omitted one. A value without a clear meaning is returned unchanged, for the error. */
function meantValue(
  property: InputProperty,
  value: unknown,
  aliases: Record<string, string> | undefined,
  isOptional: boolean,
): unknown {
  if (value === undefined || value === null) return undefined
  if (property.type === 'integer') return meantInteger(property, value, isOptional)
  if (property.type === 'boolean') return meantBoolean(value)
  if (property.enum) return meantWord(property.enum, aliases, value)
  if (isOptional && typeof value === 'string' && value.trim() === '' && (property.minLength ?? 0) > 0) return undefined
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
}

function meantInteger({ minimum, maximum }: InputProperty, value: unknown, isOptional: boolean): unknown {
  const text = typeof value === 'string' ? value.trim() : undefined
  if (isOptional && text === '') return undefined
  const number = text === undefined ? value : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : value
  if (typeof number !== 'number') return value
  if (Number.isNaN(number)) return isOptional ? undefined : value
  // In a strict mode, models must fill in every field, and write 0 or -1 to omit it.
  if (isOptional && number <= 0 && (minimum ?? 0) > 0) return undefined
  return Math.min(Math.max(Math.floor(number), minimum ?? -Infinity), maximum ?? Infinity)
}

function meantBoolean(value: unknown): unknown {
  const word = typeof value === 'string' ? value.trim().toLowerCase() : value
  if (word === 'true' || word === 1 || word === '1' || word === 'yes') return true
  if (word === 'false' || word === 0 || word === '0' || word === 'no' || word === '') return false
  return value
}

function meantWord(words: readonly string[], aliases: Record<string, string> = {}, value: unknown): unknown {
  if (typeof value !== 'string') return value
  const word = value.trim().toLowerCase()
  return words.find((known) => known.toLowerCase() === word) ?? (Object.hasOwn(aliases, word) ? aliases[word] : value)
}

function expected({ type, enum: words, minLength, maxLength, minimum, maximum }: InputProperty): string {
  if (words) return words.map((word) => `'${word}'`).join(' or ')
  if (type === 'integer') return `a whole number from ${minimum} to ${maximum}`
  if (type === 'boolean') return 'true or false'
  const most = maxLength === undefined ? '' : ` and at most ${maxLength} characters`
  return (minLength ?? 0) > 0 ? `text of at least ${minLength}${most || ' character'}` : 'text'
}

/** A value in an error message. It is shortened, because it may have megabytes. */
function shownValue(value: unknown): string {
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'an object'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length <= 60 ? text : `${cleanText(text.slice(0, 57))}…`
}
