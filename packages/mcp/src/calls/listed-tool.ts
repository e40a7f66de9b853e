import { type AnyTool, inputSchemaOf } from '@theazo/core/tools'
import { z } from 'zod/v4'
import type { JsonObject, ListedTool, ObjectSchema } from '../mcp-types.ts'
import type { SessionTool } from './wait-tools.ts'

/** A tool as `tools/list` describes it. */
export function listedTool(tool: AnyTool | SessionTool<unknown>): ListedTool {
  const { name, title, description, hints } = tool
  return {
    name,
    title,
    description,
    inputSchema: { ...inputSchemaOf(tool) },
    outputSchema: outputSchemaOf(tool),
    annotations: {
      readOnlyHint: hints.readOnly,
      destructiveHint: hints.destructive,
      idempotentHint: hints.idempotent,
      openWorldHint: hints.openWorld,
    },
  }
}

/** The fields of an answer before the call has ended. */
const runningFields = {
  isRunning: { type: 'boolean', description: 'True if the call has not ended: call wait with callId.' },
  callId: { type: 'string' },
} as const

/**
 * The JSON Schema of `structuredContent`. It requires no field, because an answer "still running" lacks most of them, and
 * allows additional ones, because a client drops a result that fails it. It omits images, which are sent as content. It
 * names no dialect, so that validators of draft-07 and 2020-12 accept it.
 */
function outputSchemaOf({ output }: AnyTool | SessionTool<unknown>): ObjectSchema {
  const schema = z.toJSONSchema(output, { target: 'draft-7', override: allowAnyExplicitly })
  const { $schema: _dialect, required: _required, properties = {}, ...rest } = schema
  const { images: _images, ...withoutImages } = properties
  // The cast is safe: zod's JSON Schema type includes boolean schemas, but zod never writes one for a property.
  return { ...rest, type: 'object', properties: { ...(withoutImages as Record<string, JsonObject>), ...runningFields } }
}

/** zod writes "any" as an empty schema. Some clients know only the keyword `true` for additional properties. */
function allowAnyExplicitly({ jsonSchema }: { jsonSchema: { additionalProperties?: unknown } }): void {
  const { additionalProperties } = jsonSchema
  if (typeof additionalProperties !== 'object' || additionalProperties === null) return
  if (Object.keys(additionalProperties).length === 0) jsonSchema.additionalProperties = true
}
