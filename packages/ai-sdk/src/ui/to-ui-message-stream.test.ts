import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import {
  convertToModelMessages,
  createUIMessageStreamResponse,
  safeValidateUIMessages,
  type UIMessage,
  type UIMessageChunk,
} from 'ai'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import type { RunCodeOutput } from '../running-code.ts'
import { runServer, type WireEvent } from '../testing/run-server.ts'
import { chunksOf, messageOf } from '../testing/ui-chunks.ts'
import { forModel } from './for-model.ts'
import { resumePoint } from './resume-point.ts'
import { toUIMessageStream, type ToUIMessageStreamOptions } from './to-ui-message-stream.ts'
import type { TheazoUIMessage } from './ui-message.ts'

const call = (id: string | undefined, tool = 'run_code'): WireEvent => ['tool_call', { id, tool, input: { code: '1' } }]
const result = (id: string | undefined, output: unknown = 'ok', isError = false): WireEvent => [
  'tool_result',
  { id, tool: 'run_code', output, isError },
]
const delta = (text: string): WireEvent => ['output_delta', { text }]
const output = (text: string): WireEvent => ['output', { text, cost: { amount: 3, currency: 'usd' } }]

/** The chunks of a new run of these events. */
async function bridge(events: readonly WireEvent[], options: ToUIMessageStreamOptions = {}, isCut = false) {
  const { agent } = runServer(events, { isCut })
  return await chunksOf(toUIMessageStream(agent.run('go'), options))
}
const marker = (eventId?: string) => ({ theazo: { taskId: 'task_1', ...(eventId && { eventId }) } })
const remote = { dynamic: true, providerExecuted: true }
const task = (data: object) => ({ type: 'data-theazo-task', id: 'task_1', data: { taskId: 'task_1', ...data } })

describe('the chunks', () => {
  test('of a run with every kind of event', async () => {
    const events: WireEvent[] = [
      ['status', { status: 'running' }],
      ['thinking', { text: 'I add.' }],
      call('a'),
      call('b'),
      result('b', { stdout: '2' }),
      result('a', 'no such file', true),
      ['novel', { n: 1 }],
      ['thinking', 'not JSON {'],
      ['status', { status: 'paused', reason: 'session limit' }],
      ['status', { status: 'running' }],
      delta('It '),
      delta('is'),
      output('It is 2.'),
    ]
    expect(await bridge(events, { messageId: 'm1' })).toEqual([
      { type: 'start', messageId: 'm1', messageMetadata: { theazo: { taskId: 'task_1' } } },
      { type: 'start-step' },
      task({ status: 'running' }),
      { type: 'reasoning-start', id: 'reasoning-2', providerMetadata: marker() },
      { type: 'reasoning-delta', id: 'reasoning-2', delta: 'I add.' },
      { type: 'reasoning-end', id: 'reasoning-2', providerMetadata: marker('2') },
      {
        type: 'tool-input-available',
        toolCallId: 'a',
        toolName: 'run_code',
        input: { code: '1' },
        providerMetadata: marker('3'),
        ...remote,
      },
      {
        type: 'tool-input-available',
        toolCallId: 'b',
        toolName: 'run_code',
        input: { code: '1' },
        providerMetadata: marker('4'),
        ...remote,
      },
      {
        type: 'tool-output-available',
        toolCallId: 'b',
        output: { stdout: '2' },
        providerMetadata: marker('5'),
        ...remote,
      },
      {
        type: 'tool-output-error',
        toolCallId: 'a',
        errorText: 'The call failed.',
        providerMetadata: marker('6'),
        ...remote,
      },
      { type: 'data-theazo-log', data: { event: 'novel', data: { taskId: 'task_1', n: 1 } }, transient: true },
      { type: 'data-theazo-log', data: { event: 'stream_error' }, transient: true },
      task({ status: 'paused', reason: 'session limit' }),
      task({ status: 'running' }),
      { type: 'text-start', id: 'text-11', providerMetadata: marker() },
      { type: 'text-delta', id: 'text-11', delta: 'It is 2.' },
      { type: 'text-end', id: 'text-11', providerMetadata: marker('12') },
      { type: 'data-theazo-usage', id: 'theazo-usage', data: { cost: { amount: 3, currency: 'usd' } } },
      { type: 'message-metadata', messageMetadata: { theazo: { cost: { amount: 3, currency: 'usd' } } } },
      task({ status: 'completed' }),
      { type: 'finish-step' },
      { type: 'finish', finishReason: 'stop' },
    ])
  })

  test('become one message in the browser', async () => {
    const chunks = await bridge([['thinking', { text: 'I add.' }], call('a'), result('a'), delta('2'), output('2')])
    const message = await messageOf<TheazoUIMessage>(chunks)
    expect(message.parts.map(({ type }) => type)).toEqual([
      'step-start',
      'data-theazo-task',
      'reasoning',
      'dynamic-tool',
      'text',
      'data-theazo-usage',
    ])
    expect(message.metadata).toEqual({ theazo: { taskId: 'task_1', cost: { amount: 3, currency: 'usd' } } })
  })

  test('of a thought in parts are one part; text that began anew is a part of its own, and the model reads only that', async () => {
    const message = await messageOf<TheazoUIMessage>(
      await bridge([
        ['thinking', { text: 'I ', id: 't1' }],
        ['thinking', { text: 'add.', id: 't1' }],
        ['thinking', { text: 'Again.', id: 't2' }],
        delta('It is'),
        ['output_delta', { text: 'The sum is', restart: true }],
        delta(' 2.'),
        output('The sum is 2.'),
      ]),
    )
    const texts = message.parts.flatMap((part) => ('text' in part ? [[part.type, part.text]] : []))
    expect(texts).toEqual([
      ['reasoning', 'I add.'],
      ['reasoning', 'Again.'],
      ['text', 'It is'],
      ['text', 'The sum is 2.'],
    ])
    const [forNext] = forModel([message])
    expect(forNext?.parts.filter(({ type }) => type !== 'step-start')).toEqual([
      { type: 'text', text: 'The sum is 2.' },
    ])
  })

  test('of a failed run end with an error whose text quotes nothing', async () => {
    const events = [
      call('a'),
      delta('so far'),
      ['error', { code: 'provider_error', message: 'bwrap on 10.0.0.7' }] as const,
    ]
    const chunks = await bridge(events)
    expect(chunks.slice(-6)).toEqual([
      { type: 'text-end', id: 'text-2', providerMetadata: marker('2') },
      { type: 'tool-output-error', toolCallId: 'a', errorText: 'The task ended before this call.', ...remote },
      task({ status: 'failed', code: 'provider_error' }),
      { type: 'error', errorText: 'The task failed.' },
      { type: 'finish-step' },
      { type: 'finish', finishReason: 'error' },
    ])
    expect(JSON.stringify(chunks)).not.toContain('10.0.0.7')
    const own = await bridge(events, { onError: ({ code, message }) => `${code}: ${message}` })
    expect(own).toContainEqual({ type: 'error', errorText: 'provider_error: bwrap on 10.0.0.7' })
  })

  test('of a failed call quote nothing of its result, unless onError does', async () => {
    const quoted = 'Error: th_live_0123456789abcdef is wrong\n    at call (/srv/theazo/dist/tools.js:12:5) on 10.0.0.7'
    const events = [call('a'), result('a', quoted, true), call('b'), result('b', { stderr: quoted }, true), output('')]
    const textsOf = (chunks: UIMessageChunk[]) => {
      return chunks.flatMap((chunk) => (chunk.type === 'tool-output-error' ? [chunk.errorText] : []))
    }
    const chunks = await bridge(events)
    expect(textsOf(chunks)).toEqual(['The call failed.', 'The call failed.'])
    expect(JSON.stringify(chunks)).not.toMatch(/th_live|srv|10\.0\.0\.7/)
    const own = await bridge(events, { onError: ({ code, tool, message }) => `${code} ${tool} ${message.length}` })
    expect(textsOf(own)).toEqual([
      `tool_error run_code ${quoted.length}`,
      `tool_error run_code ${JSON.stringify({ stderr: quoted }).length}`,
    ])
  })

  test('of a cancelled run end without an error', async () => {
    const chunks = await bridge([delta('so'), ['error', { code: 'cancelled', message: 'Cancelled.' }]])
    expect(chunks.slice(-3)).toEqual([
      task({ status: 'cancelled' }),
      { type: 'finish-step' },
      { type: 'finish', finishReason: 'other' },
    ])
    expect(chunks.some(({ type }) => type === 'error')).toBe(false)
  })

  test('of a run whose stream is lost leave the task running, so that it can be continued', async () => {
    const chunks = await bridge([call('a')], {}, true)
    expect(chunks.slice(-3)).toEqual([
      { type: 'error', errorText: expect.any(String) },
      { type: 'finish-step' },
      { type: 'finish', finishReason: 'error' },
    ])
    expect(JSON.stringify(chunks)).not.toContain('10.0.0.7')
    expect(resumePoint(await messageOf(chunks))).toMatchObject({ taskId: 'task_1', lastEventId: '1' })
  })

  test('of a run that the server refuses are an error', async () => {
    const closed = new Theazo({ apiKey: 'th_live_secret', baseUrl: 'http://127.0.0.1:9', maxRetries: 0 })
    const chunks = await chunksOf(toUIMessageStream(closed.agent('agt_1').run('go'), { messageId: 'm1' }))
    expect(chunks).toEqual([
      { type: 'start', messageId: 'm1' },
      { type: 'error', errorText: 'The connection to the task was lost.' },
      { type: 'finish', finishReason: 'error' },
    ])
  })

  test('leave out thoughts and calls if the options say so', async () => {
    const events = [['thinking', { text: 'x' }] as const, call('a'), result('a'), output('2')]
    const chunks = await bridge(events, { sendReasoning: false, sendTools: false })
    expect(chunks.filter(({ type }) => /^(reasoning|tool)-/.test(type))).toEqual([])
    expect((await messageOf(chunks)).parts).toContainEqual(expect.objectContaining({ type: 'text', text: '2' }))
  })
})

describe('the answer', () => {
  const textOf = async (...events: WireEvent[]) => {
    const { parts } = await messageOf(await bridge(events))
    return parts.flatMap((part) => (part.type === 'text' ? [part.text] : []))
  }

  test.each<[string, WireEvent[], string[]]>([
    ['without chunks is sent whole', [output('all')], ['all']],
    ['is completed by its last event', [delta('a'), output('abc')], ['abc']],
    ['is not sent twice', [delta('abc'), output('abc')], ['abc']],
    [
      'of the last step is not sent twice',
      [delta('I look.'), call('a'), result('a'), delta('4'), output('4')],
      ['I look.', '4'],
    ],
    ['that the server has trimmed is not sent twice', [delta('\nabc \n'), output('abc')], ['\nabc \n']],
    ['that its chunks did not lead to is sent whole', [delta('hmm'), output('4')], ['hmm4']],
    ['may be empty', [output('')], []],
  ])('%s', async (_what, events, expected) => expect(await textOf(...events)).toEqual(expected))

  const piecesOf = (chunks: readonly UIMessageChunk[]) => {
    return chunks.flatMap((chunk) => (chunk.type === 'text-delta' ? [chunk.delta] : []))
  }

  test('has one chunk for the pieces that arrive together', async () => {
    const pieces = Array.from({ length: 6 }, (_, index) => delta(`${index} `))
    const { agent } = runServer([...pieces, output('0 1 2 3 4 5 6')], { perRead: 2 })
    const chunks = await chunksOf(toUIMessageStream(agent.run('go')))
    expect(piecesOf(chunks)).toEqual(['0 1 ', '2 3 ', '4 5 ', '6'])
  })

  test('arrives while the server is silent', async () => {
    const { agent } = runServer([delta('one '), delta('two')])
    const chunks = await chunksOf(toUIMessageStream(agent.run('go')), { limit: 5 })
    expect(piecesOf(chunks)).toEqual(['one two'])
  })

  test('after lost events waits for the last event, and nothing is doubled', async () => {
    const { agent } = runServer([delta('one '), delta('two '), delta('three'), output('one two three')])
    const started: UIMessageChunk[] = await chunksOf(toUIMessageStream(agent.run('go')), { limit: 5 })
    const { message } = resumePoint(await messageOf(started)) ?? expect.fail('it cannot be continued')
    // Continued on a server that has dropped the first event.
    const pruned = runServer([delta('two '), delta('three'), output('one two three')], { firstId: 2 })
    const run = pruned.agent.attach('task_1', { lastEventId: '0' })
    const chunks = await chunksOf(toUIMessageStream(run, { message }))
    expect(chunks[0]).toMatchObject({ type: 'data-theazo-task', data: { hasGap: true } })
    const { parts } = await messageOf(chunks, message)
    expect(parts.flatMap((part) => (part.type === 'text' ? [part.text] : []))).toEqual(['one two three'])
  })
})

describe('any run', () => {
  const id = fc.constantFrom('a', 'b', undefined)
  const event: fc.Arbitrary<WireEvent> = fc.oneof(
    { weight: 4, arbitrary: fc.string().map(delta) },
    { weight: 2, arbitrary: id.map((each) => call(each)) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(id, fc.jsonValue(), fc.boolean())
        .map(([each, value, isError]) => result(each, value, isError)),
    },
    fc.string().map((text): WireEvent => ['thinking', { text }]),
    fc.string().map((text): WireEvent => ['thinking', { text, id: 'one thought' }]),
    fc.string().map((text): WireEvent => ['output_delta', { text, restart: true }]),
    fc.constantFrom('running', 'paused', 'idle', 'odd').map((status): WireEvent => ['status', { status }]),
    fc.jsonValue().map((value): WireEvent => ['novel', { value }]),
    fc.constant<WireEvent>(['thinking', 'not JSON {']),
  )
  const deltasOf = (events: readonly WireEvent[]) => {
    return events.flatMap(([name, data]) => (name === 'output_delta' ? [(data as { text: string }).text] : [])).join('')
  }
  const end: fc.Arbitrary<(deltas: string) => WireEvent> = fc.oneof(
    fc.string().map((more) => (deltas: string) => output(deltas + more)),
    fc.string().map((text) => () => output(text)),
    fc
      .constantFrom('timeout', 'cancelled', 'terminated', 'provider_error')
      .map((code) => (): WireEvent => ['error', { code, message: 'm' }]),
  )
  const run = fc
    .tuple(fc.array(event, { maxLength: 25 }), end)
    .map(([events, last]) => [...events, last(deltasOf(events))])

  const expectClosed = async (message: UIMessage) => {
    for (const part of message.parts) {
      if ('state' in part) expect(part.state).toMatch(/^(done|output-available|output-error)$/)
    }
    const isEmpty = message.parts.length === 0 // an aborted run that sent nothing
    if (!isEmpty) expect(await safeValidateUIMessages({ messages: [message] })).toMatchObject({ success: true })
  }
  const callsOf = (message: UIMessage) => message.parts.filter(({ type }) => type === 'dynamic-tool')
  const textOf = (message: UIMessage) => message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('')

  test('becomes one message: nothing is left open, nothing is doubled, and nothing is lost', async () => {
    await fc.assert(
      fc.asyncProperty(run, async (events) => {
        const message = await messageOf(await bridge(events))
        await expectClosed(message)
        expect(callsOf(message).length).toBeGreaterThanOrEqual(events.filter(([name]) => name === 'tool_call').length)
        const ids = callsOf(message).map((part) => (part as { toolCallId: string }).toolCallId)
        expect(new Set(ids).size).toBe(ids.length)
        const [name, data] = events.at(-1) ?? expect.fail('there is no event')
        const deltas = deltasOf(events)
        expect(textOf(message).startsWith(deltas)).toBe(true)
        if (name === 'output') expect(textOf(message).includes((data as { text: string }).text.trim())).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('that is cut at any chunk and continued becomes the same message', async () => {
    await fc.assert(
      fc.asyncProperty(run, fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 3 }), async (events, cuts) => {
        const whole = await messageOf<TheazoUIMessage>(await bridge(events))
        const server = runServer(events)
        const options = { cancelsTask: false }
        let message: TheazoUIMessage | undefined
        let stream = toUIMessageStream(server.agent.run('go'), options)
        for (const cut of cuts) {
          message = await messageOf(await chunksOf(stream, { limit: cut + 1 }), message)
          const point = resumePoint(message)
          if (!point) break
          message = point.message
          const run = server.agent.attach(point.taskId, { lastEventId: point.lastEventId })
          stream = toUIMessageStream(run, { ...options, message })
        }
        if (message && resumePoint(message)) message = await messageOf(await chunksOf(stream), message)
        if (!message) expect.fail('there is no message')
        await expectClosed(message)
        expect(withoutIds(message)).toEqual(withoutIds(whole))
      }),
      { numRuns: 300 },
    )
  })

  test.each<[string, number, WireEvent[]]>([
    ['before any part was complete', 5, [delta('It '), delta('is 2.'), output('It is 2.')]],
    ['before its first part', 1, [call('a'), result('a'), output('2')]],
    ['inside a thought', 5, [['thinking', { text: 'hm' }], output('2')]],
    ['inside a call that was made for its result', 4, [result(undefined, 0), result('a', []), output('')]],
    ['before the repeated result of a call', 5, [call('a'), result(undefined, 'one'), result('a', 'two'), output('')]],
  ])('that is cut %s becomes the same message', async (_where, limit, events) => {
    const server = runServer(events)
    const whole = await messageOf<TheazoUIMessage>(await chunksOf(toUIMessageStream(server.agent.run('go'))))
    const cut = await chunksOf(toUIMessageStream(server.agent.run('go'), { cancelsTask: false }), { limit })
    const { taskId, lastEventId, message } = resumePoint(await messageOf(cut)) ?? expect.fail('it cannot be continued')
    const continued = toUIMessageStream(server.agent.attach(taskId, { lastEventId }), { message })
    expect(withoutIds(await messageOf(await chunksOf(continued), message))).toEqual(withoutIds(whole))
  })

  test('that is aborted at any chunk, or lost, leaves nothing open', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 15 }),
        fc.nat({ max: 20 }),
        fc.boolean(),
        async (events, at, isCut) => {
          const { agent, log } = runServer(events, { isCut })
          const stop = new AbortController()
          const reader = toUIMessageStream(agent.run('go'), { abortSignal: stop.signal }).getReader()
          const chunks: UIMessageChunk[] = []
          if (at === 0) stop.abort()
          for (let next = reader.read(); ; next = reader.read()) {
            if (chunks.length >= at || (!isCut && chunks.length >= 3)) stop.abort()
            const { done, value } = await next
            if (done) break
            chunks.push(value)
          }
          expect(chunks.at(-1)?.type).toMatch(/^(abort|finish)$/)
          if (chunks.length > 2) await expectClosed(await messageOf(chunks)) // `start` and `abort` make no message
          if (chunks.at(-1)?.type !== 'abort') return
          await expect.poll(() => log).toContain('POST /tasks/task_1/cancel')
          const count = (wanted: string) => log.filter((line) => line === wanted).length
          if (!isCut) await expect.poll(() => count('closed')).toBe(count('GET /stream'))
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('the consumer', () => {
  const many = Array.from({ length: 20_000 }, (_, index) => delta(`piece ${index} `))

  test('limits what is read from the server', async () => {
    const { agent, sent } = runServer([...many, output('')], { perRead: 10 })
    const response = createUIMessageStreamResponse({ stream: toUIMessageStream(agent.run('go')) })
    const reader = response.body?.getReader() ?? expect.fail('there is no body')
    await reader.read()
    // The server in memory answers at once: whatever would be read without a consumer has been read by now.
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(sent()).toBeLessThan(1000)
    await reader.cancel()
  })

  test('that cancels closes the connection and cancels the task', async () => {
    const { agent, log } = runServer(many, { perRead: 10 })
    await chunksOf(toUIMessageStream(agent.run('go')), { limit: 10 })
    await expect.poll(() => log).toEqual(['GET /stream', 'POST /run', 'closed', 'POST /tasks/task_1/cancel'])
  })

  test('that cancels a run which has ended cancels nothing', async () => {
    const { agent, log } = runServer([output('done')])
    const stream = toUIMessageStream(agent.run('go'))
    const reader = stream.getReader()
    for (let chunk = await reader.read(); chunk.value?.type !== 'text-end'; chunk = await reader.read()) continue
    await reader.cancel()
    expect(log.filter((line) => line.includes('cancel'))).toEqual([])
  })

  test.each([
    ['is cancelled', false, 'cancelled', undefined],
    ['could not be cancelled', true, 'running', { taskId: 'task_1' }],
  ])('that aborts a task which %s sees that', async (_what, isCancelRefused, status, point) => {
    const { agent } = runServer([call('a')], { isCancelRefused })
    const stop = new AbortController()
    const reader = toUIMessageStream(agent.run('go'), { abortSignal: stop.signal }).getReader()
    const chunks: UIMessageChunk[] = []
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      chunks.push(next.value)
      if (next.value.type === 'tool-input-available') stop.abort()
    }
    expect(chunks.at(-1)).toMatchObject({ type: 'abort' })
    const message = await messageOf<TheazoUIMessage>(chunks)
    expect(message.parts.find(({ type }) => type === 'data-theazo-task')).toMatchObject({ data: { status } })
    const resumed = resumePoint(message)
    if (point) expect(resumed).toMatchObject(point)
    else expect(resumed).toBeUndefined()
  })

  test('may leave the task running', async () => {
    const { agent, log } = runServer(many, { perRead: 10 })
    await chunksOf(toUIMessageStream(agent.run('go'), { cancelsTask: false }), { limit: 10 })
    await expect.poll(() => log).toEqual(['GET /stream', 'POST /run', 'closed'])
  })
})

describe('forModel', () => {
  test('keeps the answer of a run, and everything that is of no run', async () => {
    const chunks = await bridge([
      ['thinking', { text: 'hm' }],
      call('a'),
      result('a'),
      delta('It is 2.'),
      output('It is 2.'),
    ])
    const own: UIMessage['parts'] = [
      { type: 'text', text: 'mine' },
      { type: 'tool-run_code', toolCallId: '1', state: 'output-available', input: {}, output: {} },
    ]
    const bridged = await messageOf(chunks)
    const user: UIMessage = { id: 'u', role: 'user', parts: [{ type: 'text', text: 'go' }] }
    const messages = forModel([user, { ...bridged, parts: [...bridged.parts, ...own] }])
    expect(messages[1]?.parts).toEqual([{ type: 'step-start' }, { type: 'text', text: 'It is 2.' }, ...own])
    const model = await convertToModelMessages(forModel([user, bridged]))
    expect(model).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'go' }] },
      { role: 'assistant', content: [{ type: 'text', text: 'It is 2.' }] },
    ])
  })

  test('says so if a run gave no answer, because providers refuse an empty message', async () => {
    const bridged = await messageOf(await bridge([call('a'), ['error', { code: 'timeout', message: '' }]]))
    expect(await convertToModelMessages(forModel([bridged]))).toEqual([
      { role: 'assistant', content: [{ type: 'text', text: '[The task gave no answer.]' }] },
    ])
  })
})

test('the parts of a message are typed', () => {
  type Part = TheazoUIMessage['parts'][number]
  type CodePart = Extract<Part, { type: 'tool-run_code'; state: 'output-available' }>
  expectTypeOf<CodePart['output']>().toEqualTypeOf<RunCodeOutput>()
  expectTypeOf<Extract<Part, { type: 'data-theazo-usage' }>['data']['cost']['amount']>().toEqualTypeOf<number>()
})

describe('on the real server', () => {
  let local: LocalTheazo
  let agent: Agent
  beforeAll(async () => {
    local = await createLocalTheazo()
    const { key } = await local.keys.create({ mode: 'test', plan: 'team' })
    agent = await (await new Theazo({ ...local, apiKey: key }).sessions.forUser('bridge')).agents.create()
  })
  afterAll(() => local[Symbol.asyncDispose]())

  test('a run becomes a message with its calls, its answer and its cost', async () => {
    const run = agent.run('Add. theazo:steps=3')
    const message = await messageOf<TheazoUIMessage>(await chunksOf(toUIMessageStream(run)))
    const { output, cost, taskId } = await run.result()
    expect(textParts(message)).toEqual([output])
    expect(callStates(message)).toEqual(['output-available', 'output-available', 'output-available'])
    expect(message.metadata).toEqual({ theazo: { taskId, cost } })
  })

  test('a cancelled stream cancels the task, and an abort too', async () => {
    const status = async () => (await agent.refresh()).data.task?.status
    await chunksOf(toUIMessageStream(agent.run('Wait. theazo:hang')), { limit: 2 })
    await expect.poll(status).toBe('cancelled')
    const stop = new AbortController()
    const stream = toUIMessageStream(agent.run('Wait. theazo:hang'), { abortSignal: stop.signal })
    await expect.poll(status).toBe('running')
    const chunks = chunksOf(stream)
    stop.abort()
    expect((await chunks).at(-1)).toMatchObject({ type: 'abort' })
    await expect.poll(status).toBe('cancelled')
  })

  // The first cuts are before any part is complete: the agent's log is then read from its start, with its other tasks.
  test.each([1, 3, 7])('a message that was cut after %i chunks is continued by another client', async (limit) => {
    const cut = toUIMessageStream(agent.run('Go on. theazo:steps=5'), { cancelsTask: false })
    const chunks = await chunksOf(cut, { limit })
    const point = resumePoint(await messageOf(chunks)) ?? expect.fail('it cannot be continued')
    const run = agent.attach(point.taskId, { lastEventId: point.lastEventId })
    const message = await messageOf<TheazoUIMessage>(await chunksOf(toUIMessageStream(run, point)), point.message)
    expect(callStates(message)).toHaveLength(5)
    expect(textParts(message)).toEqual([(await agent.tasks.get(point.taskId)).output])
  })
})

function textParts({ parts }: UIMessage): string[] {
  return parts.flatMap((part) => (part.type === 'text' ? [part.text] : []))
}

function callStates({ parts }: UIMessage): string[] {
  return parts.flatMap((part) => (part.type === 'dynamic-tool' ? [part.state] : []))
}

/** The message without what a second stream may number differently. */
function withoutIds({ parts, metadata }: UIMessage): object {
  const marked = parts.map((part) => {
    const { providerMetadata: _mark, ...rest } = part as Record<string, unknown>
    return rest
  })
  return { metadata, parts: marked }
}
