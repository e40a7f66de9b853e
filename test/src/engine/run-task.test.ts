// run_task of each adapter on a live key: the work of the server's own loop, nested in the framework's.
import { theazoTools as aiSdkTools, type TheazoUIMessage, toUIMessageStream } from '@theazo/ai-sdk'
import { Theazo } from '@theazo/core'
import { theazoTools as langChainTools } from '@theazo/langchain'
import { listenTheazo, type ListeningTheazo } from '@theazo/server'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { readUIMessageStream } from 'ai'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'
import { modelIds, type ScriptedModels, startModels } from './scripted-models.ts'

const model = { id: modelIds[0] }
let models: ScriptedModels
let server: ListeningTheazo
let theazo: Theazo

beforeAll(async () => {
  models = await startModels(({ results }) => {
    if (results.length > 0) return { content: `It is ${results[0]}.` }
    const input = JSON.stringify({ language: 'bash', code: 'echo $((6 * 7))' })
    return { reasoning: 'I add it up.', toolCalls: [{ name: 'run_code', arguments: input }] }
  })
  server = await listenTheazo({ port: 0, models: { ...models.options, default: model.id } })
  theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await models[Symbol.asyncDispose]()
})

test('LangChain: the answer, and the calls of the remote agent as events', async () => {
  await using agent = await (await theazo.sessions.forUser('langchain')).agents.create({ model })
  const [tool] = langChainTools({ agent, groups: ['task'] })
  const names: string[] = []
  const stream = tool?.streamEvents({ task: 'go' }, { version: 'v2' }) ?? expect.fail('there is no tool')
  let output: unknown
  for await (const { event, name, data } of stream) {
    names.push(`${event} ${name}`)
    if (event === 'on_tool_end' && name === 'run_task') output = data.output
  }
  expect(names).toContain('on_tool_start run_code')
  expect(names).toContain('on_tool_end run_code')
  expect(names.some((name) => name.startsWith('on_chat_model_end'))).toBe(true)
  expect(JSON.stringify(output)).toContain('It is 42.')
})

test('AI SDK: the answer with its steps, and the run as one message', async () => {
  await using agent = await (await theazo.sessions.forUser('ai-sdk')).agents.create({ model })
  const { run_task: tool } = aiSdkTools({ agent, groups: ['task'] })
  const outputs: unknown[] = []
  const call = { toolCallId: 'call_1', messages: [], context: {} }
  const execute = tool.execute ?? expect.fail('the tool cannot be called')
  for await (const output of execute({ task: 'go' }, call as never) as AsyncIterable<unknown>) outputs.push(output)
  expect(outputs.at(-1)).toMatchObject({ output: 'It is 42.', steps: [{ tool: 'run_code', status: 'completed' }] })

  let message: TheazoUIMessage | undefined
  const stream = toUIMessageStream(agent.run('go', { fresh: true }))
  for await (const state of readUIMessageStream<TheazoUIMessage>({ stream })) message = state
  expect(message?.parts.map(({ type }) => type)).toEqual([
    'step-start',
    'data-theazo-task',
    'reasoning',
    'dynamic-tool',
    'text',
    'data-theazo-usage',
  ])
  expect(message?.parts.flatMap((part) => (part.type === 'text' ? [part.text] : []))).toEqual(['It is 42.'])
})

test('MCP: the answer, with the progress of the remote agent', async () => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [join(root, 'packages/mcp/dist/bin.js'), '--toolsets', 'code,tasks'],
    env: { PATH: process.env['PATH'] ?? '', THEAZO_BASE_URL: server.url, THEAZO_API_KEY: server.apiKey },
  })
  const client = new Client({ name: 'test', version: '1' })
  await client.connect(transport)
  try {
    const messages: (string | undefined)[] = []
    const call = { name: 'run_task', arguments: { task: 'go' } }
    const result = await client.callTool(call, undefined, { onprogress: ({ message }) => void messages.push(message) })
    expect(JSON.stringify(result.content)).toContain('It is 42.')
    expect(result.structuredContent).toMatchObject({ output: 'It is 42.' })
    expect(messages.join('\n')).toContain('run_code')
  } finally {
    await client.close()
  }
})
