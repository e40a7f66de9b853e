import { OpenTelemetry } from '@ai-sdk/otel'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { context, trace } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { generateText, isStepCount, streamText } from 'ai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { modelThatCalls } from '../testing/scripted-model.ts'
import { theazoTools } from '../tools.ts'
import { theazoTelemetry, type TheazoToolSpan } from './theazo-telemetry.ts'

const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
let local: LocalTheazo
let client: Theazo
let mocked: Theazo
beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(provider)
  local = await createLocalTheazo()
  client = new Theazo(local)
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  mocked = new Theazo({ ...local, apiKey })
})
afterAll(() => local[Symbol.asyncDispose]())
beforeEach(() => exporter.reset())

const calls: TheazoToolSpan[] = []
const telemetry = () => ({ integrations: [theazoTelemetry((call) => calls.push(call)), new OpenTelemetry()] })

/** The attributes of Theazo on the span of the one tool call. The server in this process traces its own tasks. */
function toolSpan(): Record<string, unknown> {
  const ofClient = exporter.getFinishedSpans().filter(({ instrumentationScope }) => {
    return instrumentationScope.name !== '@theazo/server'
  })
  const [span, ...others] = ofClient.filter(({ name }) => name.startsWith('execute_tool'))
  expect(others).toEqual([])
  return Object.fromEntries(Object.entries(span?.attributes ?? {}).filter(([name]) => name.startsWith('theazo.')))
}

test('the span of a call has the exit code and the id of the agent', async () => {
  const model = modelThatCalls('run_code', { language: 'bash', code: 'exit 3' })
  const tools = theazoTools({ client, userId: 'spans' })
  await generateText({ model, prompt: 'go', tools, stopWhen: isStepCount(2), telemetry: telemetry() })
  const expected = {
    'theazo.agent.id': expect.stringMatching(/^agt_/),
    'theazo.exit_code': 3,
    'theazo.duration_ms': expect.any(Number),
  }
  expect(toolSpan()).toEqual(expected)
  expect(calls.at(-1)).toEqual({ toolName: 'run_code', toolCallId: 'call_1', attributes: expected })
})

test('the span of a streamed task has its cost and its tokens', async () => {
  const model = modelThatCalls('run_task', { task: 'theazo:cost=7' })
  const tools = theazoTools({ client: mocked, userId: 'spans', only: ['run_task'] })
  await streamText({ model, prompt: 'go', tools, stopWhen: isStepCount(2), telemetry: telemetry() }).consumeStream()
  expect(toolSpan()).toMatchObject({
    'theazo.task.id': expect.stringMatching(/^task_/),
    'theazo.cost.cents': expect.any(Number),
    'theazo.output_tokens': expect.any(Number),
  })
})

test('each poll of a task has its id, and does not count its cost again', async () => {
  const agent = await (await mocked.sessions.forUser('polls')).agents.create()
  const run = agent.run('theazo:cost=7')
  expect((await run.result()).cost?.amount).toBeGreaterThan(0)
  const taskId = await run.taskId
  const model = modelThatCalls('get_task', { taskId })
  const tools = theazoTools({ agent, only: ['get_task'] })
  await generateText({ model, prompt: 'go', tools, stopWhen: isStepCount(2), telemetry: telemetry() })
  expect(toolSpan()).toEqual({ 'theazo.agent.id': agent.id, 'theazo.task.id': taskId })
})

test('the span of an error has its code and the id of the request', async () => {
  const model = modelThatCalls('read_file', { path: 'none' })
  const tools = theazoTools({ client, userId: 'spans' })
  await generateText({ model, prompt: 'go', tools, stopWhen: isStepCount(2), telemetry: telemetry() })
  expect(toolSpan()).toMatchObject({ 'theazo.error.code': 'file_not_found' })
})

test('a tool of others has no attributes of ours', async () => {
  const before = calls.length
  const other = { description: '', inputSchema: theazoTools({ client, userId: 'spans' }).list_files.inputSchema }
  const tools = { other: { ...other, execute: async () => ({ exitCode: 1 }) } }
  const model = modelThatCalls('other', {})
  await generateText({ model, prompt: 'go', tools, stopWhen: isStepCount(2), telemetry: telemetry() })
  expect(toolSpan()).toEqual({})
  expect(calls).toHaveLength(before)
})
