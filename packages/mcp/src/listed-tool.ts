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
 * The JSON Schema of `structuredContent`. It allows additional fields because a client drops a result that fails it.
 * It omits images, which are sent as content. It names no dialect, so that validators of draft-07 and 2020-12 accept it.
 */
function outputSchemaOf({ output }: AnyTool): NonNullable<ListedTool['outputSchema']> {
  const { $schema: _dialect, properties = {}, required, ...rest } = z.toJSONSchema(output, { target: 'draft-7' })
  const { images: _images, ...withoutImages } = properties
  // The cast is safe: zod's JSON Schema type includes boolean schemas, but zod never writes one for a property.
  return { ...rest, type: 'object', properties: withoutImages as Record<string, object>, ...(required && { required }) }
}
