import type { Tool as ListedTool } from '@modelcontextprotocol/sdk/types.js'
import { type AnyTool, inputSchemaOf } from '@theazo/core/tools'
import { z } from 'zod/v4'

/** A tool as `tools/list` describes it. */
export function listedTool(tool: AnyTool): ListedTool {
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

/**
 * The JSON Schema of `structuredContent`. A client drops a result that fails it, so it is open to other fields. Images
 * are sent as content and are not part of it. It names no dialect: validators of draft-07 and of 2020-12 both take it.
 */
function outputSchemaOf({ output }: AnyTool): NonNullable<ListedTool['outputSchema']> {
  const { $schema: _dialect, properties = {}, required, ...rest } = z.toJSONSchema(output, { target: 'draft-7' })
  const { images: _images, ...others } = properties
  // The cast: zod's type of JSON Schema also has boolean schemas, which zod does not write for object properties.
  return { ...rest, type: 'object', properties: others as Record<string, object>, ...(required && { required }) }
}
