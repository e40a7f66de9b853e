// Tasks on real model protocols: the official packages of the providers talk to a local server.
import { type AgentEvent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bash, modelIds, price, type ScriptedModels, secretKeys, startModels } from './scripted-models.ts'

let models: ScriptedModels
let local: LocalTheazo
const lines: string[] = []

beforeAll(async () => {
  models = await startModels(({ request, results }) => {
    const isPlot = JSON.stringify(request.messages).includes('plot it')
    const isFirst = !request.messages.some(({ role }) => role === 'tool')
    if (isPlot && isFirst) return { ...bash(`echo ${reversed} | rev | base64 -d > plot.png`), usage }
    if (isPlot) return { content: 'Here is the plot.', usage }
    if (isFirst) {
      const input = { language: 'python', code: 'print(6 * 7)' }
      return {
        reasoning: 'I should compute this.',
        content: 'I compute it.',
        toolCalls: [{ name: 'run_code', arguments: JSON.stringify(input) }],
        usage,
      }
    }
    return { content: `The answer is ${/\d+/.exec(results.join(''))?.[0]}.`, usage }
  })
  local = await createLocalTheazo({ models: models.options, log: { write: (line) => void lines.push(line) } })
})

afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await models[Symbol.asyncDispose]()
  expect(lines.length).toBeGreaterThan(0)
  for (const key of secretKeys) expect(lines.join('')).not.toContain(key)
})

describe.each(modelIds)('%s', (id) => {
  test('a task calls a tool in the sandbox, streams thoughts and text, and is billed', async () => {
    const theazo = new Theazo(local)
    const session = await theazo.sessions.forUser(`user of ${id}`)
    await using agent = await session.agents.create({ model: { id } })
    const events: AgentEvent[] = []
    const sent = models.requests.length
    const run = agent.run('What is 6 * 7?')
    await run.forward({ onEvent: (event) => void events.push(event) })

    const parts = events.filter(({ type }) => type !== 'status')
    expect(parts.map(({ type }) => type)).toEqual([
      'thinking',
      'output_delta',
      'tool_call',
      'tool_output',
      'tool_result',
      'output_delta',
      'output',
    ])
    expect(parts[0]).toMatchObject({ text: 'I should compute this.', thoughtId: expect.any(String) })
    expect(parts[1]).toMatchObject({ text: 'I compute it.' })
    expect(parts[3]).toMatchObject({ stream: 'stdout', text: '42\n' })
    expect(parts[4]).toMatchObject({ tool: 'run_code', output: '42', isError: false })
    expect(parts[6]).toMatchObject({ text: 'The answer is 42.' })

    const task = await agent.tasks.get(await run.taskId)
    const { inputTokens, outputTokens } = task.usage
    expect([inputTokens, outputTokens]).toEqual([2 * tokens.input, 2 * tokens.output])
    const { models: usage } = await theazo.usage.summary({ sessionId: session.id })
    expect(usage).toMatchObject({ inputTokens, outputTokens })
    expect(usage.cost.amount).toBe(Math.round((inputTokens * price.input + outputTokens * price.output) / 10_000))
    expect(models.requests.slice(sent)).toHaveLength(2)
  })

  test('an image that the code saves reaches the model, if the protocol allows it', async () => {
    const session = await new Theazo(local).sessions.forUser(`plots of ${id}`)
    await using agent = await session.agents.create({ model: { id } })
    const { output } = await agent.run('plot it').result()
    expect(output).toBe('Here is the plot.')
    const last = models.requests.at(-1)?.body ?? ''
    expect(last.includes(onePixel)).toBe(!id.startsWith('local/'))
    expect(last).toContain('plot.png')
  })
})

test('what the provider signed comes back to it: the thought of Anthropic with its signature', async () => {
  const session = await new Theazo(local).sessions.forUser('signed')
  await using agent = await session.agents.create({ model: { id: modelIds[0] } })
  const sent = models.requests.length
  await agent.run('What is 6 * 7?').result()
  const { messages, system, tools } = JSON.parse(models.requests[sent + 1]?.body ?? '')
  const [thought] = messages[1].content
  expect(thought).toMatchObject({ type: 'thinking', thinking: 'I should compute this.' })
  expect(thought.signature.length).toBeGreaterThan(0)
  // The request is cached up to its last message.
  expect(system.at(-1).cache_control).toEqual({ type: 'ephemeral' })
  expect(messages.at(-1).content.at(-1).cache_control).toEqual({ type: 'ephemeral' })
  expect(tools.map(({ name }: { name: string }) => name)).toContain('write_file')
})

test('an agent without a model is refused at run, and an unknown model at creation, with the configured ones', async () => {
  const session = await new Theazo(local).sessions.forUser('none')
  await using agent = await session.agents.create()
  const refused = { code: 'unprocessable_entity' }
  await expect(agent.run('hi').result()).rejects.toMatchObject(refused)
  const unknown = session.agents.create({ model: { id: 'mistral/large' } })
  await expect(unknown).rejects.toMatchObject({ ...refused, message: expect.stringContaining('anthropic/…, openai/…') })
  const without = await createLocalTheazo({ models: { openai: { apiKey: 'x' } } })
  await using _server = without
  const other = await new Theazo(without).sessions.forUser('none')
  const fault = other.agents.create({ model: { id: 'openai/gpt-99-unheard-of' } })
  await expect(fault).rejects.toMatchObject({ message: expect.stringContaining('has no known price') })
})

const tokens = { input: 100_000, output: 2_000 }

/** Under the names of every protocol. */
const usage = {
  input_tokens: tokens.input,
  output_tokens: tokens.output,
  prompt_tokens: tokens.input,
  completion_tokens: tokens.output,
  total_tokens: tokens.input + tokens.output,
  promptTokenCount: tokens.input,
  candidatesTokenCount: tokens.output,
  totalTokenCount: tokens.input + tokens.output,
}

/** A PNG of one pixel. */
const onePixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=='

/** Backwards, so that the call itself does not contain the image. */
const reversed = Array.from(onePixel).toReversed().join('')
