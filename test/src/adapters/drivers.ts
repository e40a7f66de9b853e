import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { theazoTools as aiSdkTools } from '@theazo/ai-sdk'
import type { Theazo } from '@theazo/core'
import { theazoTools as langChainTools } from '@theazo/langchain'
import { createTheazoMcpServer } from '@theazo/mcp'
import { generateText, isStepCount } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import { createAgent } from 'langchain'
import type { ScriptedCall } from './scripted-calls.ts'

/** Runs a scripted model that makes these calls with all tools of a user. Returns the texts that the model received. */
export type Driver = (client: Theazo, userId: string, calls: readonly ScriptedCall[]) => Promise<string[]>

/** By the name of the adapter. */
export const drivers: Record<string, Driver> = { LangChain: langChain, 'AI SDK': aiSdk, MCP: mcp }

async function langChain(client: Theazo, userId: string, calls: readonly ScriptedCall[]): Promise<string[]> {
  const model = fakeModel()
  for (const [index, { tool, input }] of calls.entries()) {
    model.respond((messages) => {
      const args = { ...input(messages.filter(ToolMessage.isInstance).map(({ text }) => text)) }
      return new AIMessage({ content: '', tool_calls: [{ type: 'tool_call', id: `call_${index}`, name: tool, args }] })
    })
  }
  model.respond(new AIMessage('done'))
  const assistant = createAgent({ model, tools: langChainTools({ client, userId, groups: 'all' }) })
  const { messages } = await assistant.invoke({ messages: [new HumanMessage('go')] }, { recursionLimit: 100 })
  return messages.filter(ToolMessage.isInstance).map(({ text }) => text)
}

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
}

async function aiSdk(client: Theazo, userId: string, calls: readonly ScriptedCall[]): Promise<string[]> {
  const texts: string[] = []
  let turn = 0
  const model = new MockLanguageModelV4({
    async doGenerate({ prompt }) {
      const last = prompt.at(-1)
      if (last?.role === 'tool') {
        const [part] = last.content
        const output = part?.type === 'tool-result' ? part.output : undefined
        texts.push(output?.type === 'text' || output?.type === 'error-text' ? output.value : JSON.stringify(output))
      }
      const call = calls[turn]
      turn += 1
      if (!call) {
        const finishReason = { unified: 'stop', raw: 'stop' } as const
        return { content: [{ type: 'text', text: 'done' }], finishReason, usage, warnings: [] }
      }
      const input = JSON.stringify(call.input(texts))
      const finishReason = { unified: 'tool-calls', raw: 'tool-calls' } as const
      const content = [{ type: 'tool-call', toolCallId: `call_${turn}`, toolName: call.tool, input } as const]
      return { content, finishReason, usage, warnings: [] }
    },
  })
  const tools = aiSdkTools({ client, userId, groups: 'all' })
  await generateText({ model, prompt: 'go', tools, stopWhen: isStepCount(100) })
  return texts
}

async function mcp(theazo: Theazo, userId: string, calls: readonly ScriptedCall[]): Promise<string[]> {
  const server = createTheazoMcpServer({ client: theazo, userId, groups: 'all' })
  const client = new Client({ name: 'test', version: '0' })
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  await Promise.all([server.connect(serverSide), client.connect(clientSide)])
  await using _connection = { [Symbol.asyncDispose]: () => client.close() }
  const texts: string[] = []
  for (const { tool, input } of calls) {
    const request = { name: tool, arguments: input(texts) as Record<string, unknown> }
    const { content } = CallToolResultSchema.parse(await client.callTool(request))
    texts.push(content[0]?.type === 'text' ? content[0].text : '')
  }
  return texts
}
