import { modelText, type ToolImage, type ToolResult, truncate, withoutImages } from '@theazo/core/tools'
import { boundedContent, jsonBytes } from './bounded-content.ts'
import { fileUri } from '../resources/file-uri.ts'
import type { CallToolResult, Content } from '../mcp-types.ts'
import type { SavedOutput } from './whole-output.ts'

const maxErrorChars = 10_000

/** The result of a tool call that succeeded. */
type ToolSuccess = Extract<ToolResult<object>, { isError: false }>

/** Claude Desktop refuses a message above 1,000,000 bytes; 2000 bytes are for the fields around the result, such as the id. */
const maxBytes = 1_000_000 - 2000

/**
 * Converts a tool's result to MCP, below 1,000,000 bytes of JSON. The text comes first, because every client shows it to
 * the model; then come the images. Images that do not fit are replaced by links, the largest first.
 *
 * @param agentId The agent whose sandbox contains the images and files.
 * @param saved Files with output that the text has cut. They are linked.
 */
export function toCallResult(
  { text, images, data }: ToolSuccess,
  agentId: string | undefined,
  saved: readonly SavedOutput[] = [],
): CallToolResult {
  const bounded = boundedContent(text, withoutImages(data))
  if (!bounded)
    return errorCallResult(`${truncate(text, maxErrorChars / 2)}\n[the data of this result is too large to send]`)
  const largestFirst = images.toSorted((one, other) => other.base64.length - one.base64.length)
  for (let count = 0; ; count += 1) {
    const linked = new Set(largestFirst.slice(0, count))
    const notes = [...images.filter((image) => linked.has(image)).map(imageNote), ...saved.map(savedNote)]
    const result: CallToolResult = {
      content: [
        { type: 'text', text: [bounded.text, ...notes].join('\n') },
        ...images.map((image) => (linked.has(image) ? imageLink(image, agentId) : imageContent(image))),
        ...saved.map(({ path, sizeBytes }) => linkContent({ path, mediaType: 'text/plain', sizeBytes }, agentId)),
      ],
      structuredContent: bounded.data,
    }
    if (count >= images.length || jsonBytes(result) <= maxBytes) return result
  }
}

/** The result of a failed call. The text must state what to do. */
export function errorCallResult(text: string): CallToolResult {
  return {
    content: [{ type: 'text', text: modelText(text, '(an error without a message)', maxErrorChars) }],
    isError: true,
  }
}

function imageContent({ mediaType, base64 }: ToolImage): Content {
  return { type: 'image', mimeType: mediaType, data: base64 }
}

function imageLink({ path, mediaType, base64 }: ToolImage, agentId: string | undefined): Content {
  return linkContent({ path, mediaType, sizeBytes: sizeBytesOf(base64) }, agentId)
}

function linkContent(file: { path: string; mediaType: string; sizeBytes: number }, agentId = ''): Content {
  const { path, mediaType, sizeBytes } = file
  const name = path.slice(path.lastIndexOf('/') + 1)
  return { type: 'resource_link', uri: fileUri({ agentId, path }), name, mimeType: mediaType, size: sizeBytes }
}

function imageNote({ path, base64 }: ToolImage): string {
  return `[image linked, not shown: ${path} has ${sizeBytesOf(base64)} bytes, too many for this result; save a smaller one to see it]`
}

function savedNote({ path, sizeBytes, isCut }: SavedOutput): string {
  return `[${isCut ? `the first ${sizeBytes} bytes of the output` : 'the whole output'} is in ${path}; read_file reads parts of it]`
}

function sizeBytesOf(base64: string): number {
  return (base64.length / 4) * 3 - (/=*$/.exec(base64.slice(-2))?.[0].length ?? 0)
}
