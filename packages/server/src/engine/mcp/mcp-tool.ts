import type { CallToolResult, Tool } from '@modelcontextprotocol/sdk/types.js'
import { hiddenImagesText, modelText, toolImages } from '@theazo/core/tools'
import type { EngineTool, ToolOutcome } from '../engine-tool.ts'
import type { McpConnection } from './mcp-connection.ts'
import { codeOf, invalidParams } from './mcp-faults.ts'

/** Maximum characters of a description: each model request contains it. */
const maxDescriptionChars = 10_000

/** A tool of an MCP server. @param server the server's name. @param group the agent's name for the tools of the server. */
export function mcpTool(
  connection: McpConnection,
  { name, description = '', inputSchema, annotations }: Tool,
  server: string,
  group: string,
): EngineTool {
  return {
    name: `${server}_${name}`,
    group,
    description: modelText(description, `The tool ${name} of ${server}.`, maxDescriptionChars),
    inputSchema,
    isReadOnly: annotations?.readOnlyHint ?? false,
    async run(input, { signal, imagesOff }) {
      if (!isObject(input)) return { output: 'The input must be a JSON object.', isError: true, isInvalid: true }
      try {
        return await outcomeOf(await connection.call(name, input, signal), imagesOff)
      } catch (error) {
        signal.throwIfAborted()
        const output = modelText(`The MCP server ${server} failed: ${connection.faultText(error)}`)
        return { output, isError: true, isInvalid: codeOf(error) === invalidParams }
      }
    },
  }
}

type Content = CallToolResult['content'][number]

async function outcomeOf(
  { content, structuredContent, isError = false }: CallToolResult,
  imagesOff: string | undefined,
): Promise<ToolOutcome> {
  const found = content.flatMap((part) => (part.type === 'image' ? Buffer.from(part.data, 'base64') : []))
  const named = found.map((bytes, index) => ({ path: `image ${index + 1}`, bytes }))
  // Providers accept no images in an error.
  const { images = [], hiddenImages = [] } = await toolImages(named, isError ? 'the call failed' : imagesOff)
  const texts = content.map(textOf).filter((text) => text !== '')
  if (content.length === 0 && structuredContent) texts.push(JSON.stringify(structuredContent))
  const note = hiddenImagesText(hiddenImages)
  const output = modelText([...texts, ...(note === '' ? [] : [note])].join('\n'), emptyText(images.length))
  return { output, ...(images.length > 0 && { images }), isError }
}

function emptyText(images: number): string {
  return images > 0 ? `(${images === 1 ? 'an image' : `${images} images`})` : '(no output)'
}

/** The text of a part; empty for an image. */
function textOf(part: Content): string {
  switch (part.type) {
    case 'text':
      return part.text
    case 'image':
      return ''
    case 'audio':
      return `[audio not shown: ${part.mimeType}]`
    case 'resource_link':
      return `[resource ${part.name}: ${part.uri}]`
    case 'resource':
      return 'text' in part.resource ? part.resource.text : `[resource not shown: ${part.resource.uri}]`
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
