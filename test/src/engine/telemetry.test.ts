// Spans and metrics of tasks on a live key, by the GenAI conventions of OpenTelemetry.
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { bash, modelIds, type ScriptedModels, startModels } from './scripted-models.ts'

type Script = Parameters<typeof startModels>[0]

const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
let models: ScriptedModels
let local: LocalTheazo
let theazo: Theazo
let script: Script

beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(provider)
  models = await startModels((turn) => script(turn))
  local = await createLocalTheazo({ models: models.options })
  theazo = new Theazo(local)
})
afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await models[Symbol.asyncDispose]()
})
beforeEach(() => exporter.reset())

const usage = { input_tokens: 1_000, output_tokens: 200 }
const callThenAnswer: Script = ({ results }) =>
  results.length === 0 ? { ...bash('echo the secret output'), usage } : { content: 'the secret answer', usage }

test('a task with a tool call is one tree of spans with ids, tokens and cost, and without texts', async () => {
  script = callThenAnswer
  const session = await theazo.sessions.forUser('tree')
  await using agent = await session.agents.create({ model: { id: modelIds[0] }, name: 'tracer' })
  const run = agent.run('the secret prompt')
  await run.result()

  const [task, ...children] = await tree()
  expect(task).toMatchObject({ name: 'invoke_agent tracer', kind: SpanKind.INTERNAL, parentSpanContext: undefined })
  expect(children.map(({ name, kind }) => [name, kind])).toEqual([
    ['chat claude-sonnet-4-20250514', SpanKind.CLIENT],
    ['execute_tool run_code', SpanKind.INTERNAL],
    ['chat claude-sonnet-4-20250514', SpanKind.CLIENT],
  ])
  const ids = { 'gen_ai.agent.id': agent.id, 'theazo.agent.id': agent.id, 'theazo.task.id': await run.taskId }
  const model = { 'gen_ai.request.model': 'claude-sonnet-4-20250514', 'gen_ai.provider.name': 'anthropic' }
  expect(task?.attributes).toEqual({
    ...ids,
    ...model,
    'gen_ai.operation.name': 'invoke_agent',
    'gen_ai.agent.name': 'tracer',
    'gen_ai.usage.input_tokens': 2_000,
    'gen_ai.usage.output_tokens': 400,
    'theazo.cost.cents': 1.2, // 3 and 15 dollars for a million
    'theazo.task.suspended': false,
  })
  expect(children[0]?.attributes).toEqual({
    ...ids,
    ...model,
    'gen_ai.operation.name': 'chat',
    'gen_ai.usage.input_tokens': 1_000,
    'gen_ai.usage.output_tokens': 200,
    'gen_ai.usage.cache_read.input_tokens': 0,
    'gen_ai.usage.cache_creation.input_tokens': 0,
    'theazo.cost.cents': 0.6,
  })
  expect(children[1]?.attributes).toEqual({
    ...ids,
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': 'run_code',
    'gen_ai.tool.call.id': expect.stringMatching(/./),
  })
  expect(JSON.stringify(exporter.getFinishedSpans().map(textsOf))).not.toContain('secret')
})

test('the span of a task is a child of the span in which the program has started it', async () => {
  script = callThenAnswer
  const session = await theazo.sessions.forUser('parent')
  await using agent = await session.agents.create({ model: { id: modelIds[0] } })
  await trace.getTracer('test').startActiveSpan('request', async (span) => {
    await agent.run('go').result()
    span.end()
  })
  const spans = exporter.getFinishedSpans()
  const parent = spans.find(({ name }) => name === 'request')
  await expect.poll(() => nameOf('invoke_agent')?.parentSpanContext?.spanId).toBe(parent?.spanContext().spanId)
})

test('faults of tools and of the model have their types', async () => {
  const session = await theazo.sessions.forUser('faults')
  script = ({ results }) =>
    results.length === 0 ? { toolCalls: [{ name: 'nothing', arguments: '{}' }] } : bash('exit 3')
  models.fault = (_, response, number) => number > first + 2 && Boolean(response.writeHead(401).end('{}'))
  const first = models.requests.length
  await using agent = await session.agents.create({ model: { id: modelIds[3] } })
  await expect(agent.run('go').result()).rejects.toMatchObject({ code: 'provider_error' })
  models.fault = undefined

  const [task, , unknown, , , refused] = await tree()
  expect(task?.attributes).toMatchObject({ 'error.type': 'provider_error', 'gen_ai.provider.name': 'local' })
  expect(task?.status).toEqual({ code: SpanStatusCode.ERROR })
  expect(unknown).toMatchObject({ name: 'execute_tool nothing', attributes: { 'error.type': 'invalid_tool_call' } })
  expect(refused).toMatchObject({ name: 'chat llama3.3', attributes: { 'error.type': 'provider_error' } })
})

test('the spans of a cancelled task and of its call say so', async () => {
  script = () => bash('echo started; sleep 60')
  const session = await theazo.sessions.forUser('cancels')
  await using agent = await session.agents.create({ model: { id: modelIds[0] } })
  const run = agent.run('go')
  const forwarded = run.forward({
    // After the model's step: the call begins next.
    onToolCall: async () => void (await agent.tasks.cancel(await run.taskId)),
  })
  await expect(forwarded).rejects.toThrow('cancelled')
  const [task] = await tree()
  expect(task?.attributes['error.type']).toBe('cancelled')
})

test('metrics count calls, tokens, cost and outcomes of live keys', async () => {
  await using own = await createLocalTheazo({ models: models.options })
  script = callThenAnswer
  const session = await new Theazo(own).sessions.forUser('metrics')
  await using agent = await session.agents.create({ model: { id: modelIds[0] } })
  await agent.run('go').result()
  script = ({ results }) =>
    results.length === 0 ? { toolCalls: [{ name: 'nothing', arguments: '{}' }] } : { content: '' }
  await agent.run('go', { fresh: true }).result()
  await mocked(own)

  const text = await metricsOf(own)
  const of = `model="${modelIds[0]}"`
  expect(text).toContain(`theazo_model_calls_total{${of},outcome="ok"} 4`)
  expect(text).toContain(`theazo_model_tokens_total{${of},direction="output"}`)
  expect(text).toMatch(new RegExp(`theazo_model_cost_cents_total\\{${of}\\} 1\\.\\d`))
  expect(text).toContain(`theazo_model_call_duration_seconds_count{${of}} 4`)
  expect(text).toContain('theazo_tool_calls_total{tool="run_code",outcome="ok"} 1')
  expect(text).toContain('theazo_tool_calls_total{tool="unknown",outcome="invalid"} 1')
  expect(text).not.toContain('scripted')
})

async function mocked(own: LocalTheazo): Promise<void> {
  const { key: apiKey } = await own.keys.create({ mode: 'test', plan: 'cloud' })
  const session = await new Theazo({ ...own, apiKey }).sessions.forUser('mocked')
  await using agent = await session.agents.create()
  await agent.run('go').result()
}

async function metricsOf(own: LocalTheazo): Promise<string> {
  return await (await own.fetch('http://localhost/metrics')).text()
}

/** The spans of the one task, the task's first, in the order of their starts. */
async function tree(): Promise<ReadableSpan[]> {
  await expect.poll(() => nameOf('invoke_agent')).toBeDefined()
  const spans = exporter.getFinishedSpans().toSorted((a, b) => startOf(a) - startOf(b))
  const task = spans.find(({ name }) => name.startsWith('invoke_agent'))
  // By name: spans that start in the same microsecond have no order.
  const children = spans.filter(({ name }) => /^(chat|execute_tool)/.test(name))
  for (const child of children) expect(child.parentSpanContext?.spanId).toBe(task?.spanContext().spanId)
  return task ? [task, ...children] : []
}

function nameOf(start: string): ReadableSpan | undefined {
  return exporter.getFinishedSpans().find(({ name }) => name.startsWith(start))
}

function startOf({ startTime: [seconds, nanoseconds] }: ReadableSpan): number {
  return seconds * 1e9 + nanoseconds
}

function textsOf({ name, attributes, events, status }: ReadableSpan): unknown {
  return { name, attributes, events, status }
}
