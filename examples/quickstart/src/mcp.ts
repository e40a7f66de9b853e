import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { type CallToolResult, CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { dynamicTool, generateText, isStepCount, jsonSchema, type ToolSet } from 'ai'
import { type FrameworkContext, type FrameworkRun, type Step, stepOf } from './framework-run.ts'
import { aiSdkModel, toolTexts } from './models.ts'

/** Adds the URL and the key of the API, which the `theazo-mcp` process receives as environment variables. */
export interface McpContext extends FrameworkContext {
  baseUrl: string
  apiKey: string
}

/** Runs the task with an MCP client: it starts the real `theazo-mcp` process, and the model calls the tools of that process. */
export async function runMcp({ task, model, signal, onStep, baseUrl, apiKey }: McpContext): Promise<FrameworkRun> {
  const client = new Client({ name: 'theazo-quickstart', version: '0.0.0' })
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [binPath(), '--user-id', 'quickstart'],
    env: { THEAZO_BASE_URL: baseUrl, THEAZO_API_KEY: apiKey },
  })
  await using _connection = { [Symbol.asyncDispose]: () => client.close() }
  await client.connect(transport, { signal })

  const steps: Step[] = []
  let agentId = ''
  const call = async (name: string, input: unknown): Promise<CallToolResult> => {
    const startedAt = performance.now()
    // The cast is safe: the MCP server validates the model's input.
    const request = { name, arguments: input as Record<string, unknown> }
    const result = CallToolResultSchema.parse(await client.callTool(request, undefined, { signal }))
    const step = stepOf(name, input, textOf(result), performance.now() - startedAt)
    agentId = String(result.structuredContent?.['agentId'] ?? agentId)
    steps.push(step)
    onStep(step)
    return result
  }

  const tools: ToolSet = {}
  for (const { name, description, inputSchema } of (await client.listTools(undefined, { signal })).tools) {
    tools[name] = dynamicTool({
      ...(description && { description }),
      inputSchema: jsonSchema(inputSchema as Parameters<typeof jsonSchema>[0]), // the SDKs type JSON Schema differently
      execute: (input) => call(name, input),
      toModelOutput: ({ output }) => ({ type: 'text', value: textOf(output as CallToolResult) }),
    })
  }
  const { text, responseMessages } = await generateText({
    model: aiSdkModel(model, task),
    prompt: task.prompt,
    tools,
    stopWhen: isStepCount(10),
    abortSignal: signal,
  })
  return { framework: 'MCP client', agentId, steps, received: toolTexts(responseMessages), answer: text }
}

function binPath(): string {
  return join(dirname(fileURLToPath(import.meta.resolve('@theazo/mcp'))), 'bin.js')
}

function textOf({ content }: CallToolResult): string {
  return content.map((block) => (block.type === 'text' ? block.text : `[${block.type}]`)).join('\n')
}
