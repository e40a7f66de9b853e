// Faults of a model's server, and of a model: a task goes on, or fails with an error that says why.
import { type AgentEvent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { bash, modelIds, type ScriptedModels, secretKeys, startModels } from './scripted-models.ts'

type Script = Parameters<typeof startModels>[0]

let models: ScriptedModels
let local: LocalTheazo
let script: Script

beforeAll(async () => {
  models = await startModels((turn) => script(turn))
  local = await createLocalTheazo({ models: models.options })
})

beforeEach(() => {
  models.fault = undefined
  models.cutAfterBytes = undefined
  models.requests.length = 0
  script = () => ({ content: 'done' })
})

afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await models[Symbol.asyncDispose]()
})

/** The events of one task. */
async function eventsOf(task: string, id: string = modelIds[0]): Promise<AgentEvent[]> {
  const session = await new Theazo(local).sessions.forUser('faults')
  await using agent = await session.agents.create({ model: { id } })
  const events: AgentEvent[] = []
  await agent.run(task).forward({ onEvent: (event) => void events.push(event), onError() {} })
  return events.filter(({ type }) => type !== 'status')
}

const overloaded = JSON.stringify({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } })

test.each(modelIds)('%s: 429 and 529 are tried again, when the provider says', async (id) => {
  const times: number[] = []
  models.fault = (_request, response, number) => {
    times.push(performance.now())
    if (number > 2) return false
    response.writeHead(number === 1 ? 429 : 529, { 'content-type': 'application/json', 'retry-after-ms': '5' })
    response.end(overloaded)
    return true
  }
  expect((await eventsOf('go', id)).at(-1)).toMatchObject({ type: 'output', text: 'done' })
  expect(models.requests).toHaveLength(3)
})

test('a stream that is cut is read again: the text begins anew, and each finished call stays', async () => {
  script = ({ results }) =>
    results.length === 0 ? bash('echo ran >> /workspace/runs; wc -l < /workspace/runs') : { content: long }
  models.fault = (request) => {
    const isAnswer = request.body.includes('tool_result')
    models.cutAfterBytes = isAnswer && models.requests.length === 2 ? 3_000 : undefined
    return false
  }
  const events = await eventsOf('go')
  expect(models.requests).toHaveLength(3)
  expect(events.filter(({ type }) => type === 'tool_result')).toMatchObject([{ output: expect.stringMatching(/^1\b/) }])
  // The second stream continues the text of the first, so nothing is sent twice.
  const deltas = events.filter((event) => event.type === 'output_delta')
  expect(deltas.map(({ text }) => text).join('')).toBe(long)
  expect(deltas.some(({ isRestart }) => isRestart)).toBe(false)
  expect(events.at(-1)).toMatchObject({ type: 'output', text: long })
})

test('if the second stream has another text, it is sent from its beginning, as a restart', async () => {
  let count = 0
  script = () => ({ content: `${(count += 1)} ${long}` })
  models.fault = () => {
    models.cutAfterBytes = models.requests.length === 1 ? 3_000 : undefined
    return false
  }
  const deltas = (await eventsOf('go')).filter((event) => event.type === 'output_delta')
  const restart = deltas.findIndex(({ isRestart }) => isRestart)
  expect(restart).toBeGreaterThan(0)
  expect(
    deltas
      .slice(restart)
      .map(({ text }) => text)
      .join(''),
  ).toBe(`2 ${long}`)
})

test('a call with malformed arguments, an unknown tool and an invalid input: the model reads why', async () => {
  const answers = [
    { toolCalls: [{ name: 'run_code', arguments: '{"language": "bash", "code": ' }] },
    { toolCalls: [{ name: 'run_cod', arguments: '{}' }] },
  ]
  script = ({ results }) => answers[results.length] ?? { content: 'done' }
  const events = await eventsOf('go', 'local/llama3.3')
  const results = events.filter((event) => event.type === 'tool_result')
  expect(results).toMatchObject([
    { isError: true, output: expect.stringContaining('not valid JSON') },
    { isError: true, output: expect.stringContaining('Did you mean run_code?') },
  ])
  expect(events.at(-1)).toMatchObject({ type: 'output', text: 'done' })
})

test('a model that makes three invalid calls in a row fails the task; a valid call in between does not', async () => {
  const invalid = { toolCalls: [{ name: 'run_code', arguments: '{"language": "cobol", "code": "x"}' }] }
  script = () => invalid
  const failed = await eventsOf('go')
  expect(failed.filter(({ type }) => type === 'tool_result')).toHaveLength(3)
  expect(failed.at(-1)).toMatchObject({
    type: 'error',
    code: 'provider_error',
    message: expect.stringMatching(/only invalid tool calls in 3 steps.*language/s),
  })
  const calls = [invalid, invalid, bash('true'), invalid, invalid, { content: 'done' }]
  script = ({ results }) => calls[results.length] ?? { content: 'too far' }
  expect((await eventsOf('go')).at(-1)).toMatchObject({ type: 'output', text: 'done' })
})

test('a refused key and an unknown model fail at once, and the error contains no key', async () => {
  models.fault = (_request, response) => {
    const error = { type: 'authentication_error', message: `invalid x-api-key ${secretKeys[0]}` }
    response.writeHead(401, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ type: 'error', error }))
    return true
  }
  const last = (await eventsOf('go')).at(-1)
  expect(last).toMatchObject({ type: 'error', code: 'provider_error', message: expect.stringContaining('HTTP 401') })
  expect(JSON.stringify(last)).not.toContain('secret-key')
  expect(models.requests).toHaveLength(1)
})

test('cancel and the timeout of the agent end a stream that does not end', async () => {
  const closed: Promise<unknown>[] = []
  const open = Promise.withResolvers<void>()
  models.fault = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('event: ping\ndata: {"type":"ping"}\n\n')
    closed.push(new Promise((resolve) => response.once('close', resolve)))
    open.resolve()
    return true
  }
  const session = await new Theazo(local).sessions.forUser('faults')
  await using agent = await session.agents.create({ model: { id: modelIds[0] }, timeoutSeconds: 2 })
  const run = agent.run('go')
  const result = run.result().catch((error: unknown) => error)
  await open.promise
  expect(await result).toMatchObject({ code: 'timeout' })
  await using other = await session.agents.create({ model: { id: modelIds[0] } })
  const second = other.run('go')
  await expect.poll(() => closed.length).toBe(2)
  await second.cancel()
  await expect(second.result()).rejects.toMatchObject({ code: 'cancelled' })
  await Promise.all(closed)
})

test('a call that runs out of time: the model reads what the code printed, and what to do', async () => {
  const input = JSON.stringify({ language: 'bash', code: 'echo so far; sleep 60', timeoutSeconds: 3 })
  script = ({ results }) => {
    return results.length === 0 ? { toolCalls: [{ name: 'run_code', arguments: input }] } : { content: 'done' }
  }
  const events = await eventsOf('go')
  const result = events.find((event) => event.type === 'tool_result')
  expect(result).toMatchObject({ isError: true, output: expect.stringMatching(/^so far\n.*timeout.*\n./) })
})

test('a stream that ends without a reason is no answer, and one that is too long says so', async () => {
  const answer = (end: { type?: string }): string => {
    const events = [
      {
        type: 'message_start',
        message: {
          id: 'm',
          type: 'message',
          role: 'assistant',
          model: 'm',
          content: [],
          usage: { input_tokens: 1, output_tokens: 1 },
        },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'half of' } },
      ...(Object.keys(end).length === 0
        ? []
        : [{ type: 'content_block_stop', index: 0 }, end, { type: 'message_stop' }]),
    ]
    return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
  }
  const maxTokens = { type: 'message_delta', delta: { stop_reason: 'max_tokens' }, usage: { output_tokens: 9 } }
  for (const [end, count] of [
    [{}, 2],
    [maxTokens, 1],
  ] as const) {
    models.requests.length = 0
    models.fault = (_request, response, number) => {
      if (number > 1) return false
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(answer(end))
      return true
    }
    const last = (await eventsOf('go')).at(-1)
    expect([last, models.requests.length]).toEqual([expect.any(Object), count])
    if (count === 2) expect(last).toMatchObject({ type: 'output', text: 'done' })
    else
      expect(last).toMatchObject({ type: 'error', message: expect.stringContaining('longer than the model can write') })
  }
})

test('parallel calls that only read run side by side, others in order', async () => {
  const read = (path: string) => ({ name: 'read_file', arguments: JSON.stringify({ path }) })
  script = ({ results }) => {
    if (results.length === 0) return bash('echo one > one; echo 1 > order', 'echo two > two; echo 2 >> order')
    if (results.length === 2) return { toolCalls: [read('one'), read('two'), read('order')] }
    return { content: 'done' }
  }
  const events = await eventsOf('go')
  const results = events.filter((event) => event.type === 'tool_result')
  expect(results.map(({ output }) => String(output))).toEqual([
    expect.any(String),
    expect.any(String),
    expect.stringContaining('one'),
    expect.stringContaining('two'),
    expect.stringMatching(/1[^]*2/),
  ])
  expect(models.requests).toHaveLength(3)
})

test('50 tasks at once end', { timeout: 120_000 }, async () => {
  script = ({ results }) => (results.length === 0 ? bash('echo on') : { content: 'done' })
  const session = await new Theazo(local).sessions.forUser('many')
  const outputs = await Promise.all(
    Array.from({ length: 50 }, async () => {
      await using agent = await session.agents.create({ model: { id: modelIds[0] }, timeoutMs: 120_000 })
      return (await agent.run('go').result()).output
    }),
  )
  expect(outputs).toEqual(Array(50).fill('done'))
})

const long = Array.from({ length: 400 }, (_, index) => `word ${index}`).join(' ')
