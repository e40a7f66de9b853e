import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { MessagesAnnotation, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { createAgent, createMiddleware } from 'langchain'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acceptsToolImages } from './accepts-tool-images.ts'
import { theazoTools } from './tools.ts'

let local: LocalTheazo
let agent: Agent

beforeAll(async () => {
  local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('langchain')
  agent = await session.agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())

/** An image of one pixel. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const call = (code: string, id = 'call_1', language = 'python') => ({ name: 'run_code', args: { language, code }, id })
const calling = (...calls: ReturnType<typeof call>[]) =>
  new AIMessage({ content: '', tool_calls: calls.map((one) => ({ ...one, type: 'tool_call' as const })) })

function toolNode() {
  return new StateGraph(MessagesAnnotation)
    .addNode('tools', new ToolNode(theazoTools({ agent })))
    .addEdge('__start__', 'tools')
    .compile()
}

test('run_code works in the prebuilt ToolNode: the content is text, the artifact is typed data', async () => {
  const { messages } = await toolNode().invoke({ messages: [calling(call('print(2 + 2)'))] })
  const message = messages.find(ToolMessage.isInstance)
  expect(message).toMatchObject({ content: '4', status: 'success', tool_call_id: 'call_1', name: 'run_code' })
  expect(message?.artifact).toEqual({
    agentId: agent.id,
    stdout: '4\n',
    stderr: '',
    exitCode: 0,
    durationMs: expect.any(Number),
  })
})

test('the calls of one message run in parallel in one sandbox, and their results keep the order', async () => {
  // Each call waits for the file of the other: in sequence, neither would end.
  const meet = (mine: string, other: string) =>
    `cd /tmp; touch ${mine}; until [[ -e ${other} ]]; do sleep 0.01; done; echo ${mine}`
  const { messages } = await toolNode().invoke({
    messages: [calling(call(meet('a', 'b'), 'call_a', 'bash'), call(meet('b', 'a'), 'call_b', 'bash'))],
  })
  expect(messages.slice(1).map(({ text }) => text)).toEqual(['a', 'b'])
})

test('run_code works in createAgent, and the model receives its text', async () => {
  const model = fakeModel()
    .respondWithTools([call('import sys; print("out"); print("err", file=sys.stderr); sys.exit(3)')])
    .respond(new AIMessage('done'))
  const assistant = createAgent({ model, tools: theazoTools({ agent }) })
  const { messages } = await assistant.invoke({ messages: [new HumanMessage('go')] })
  expect(messages.at(-1)?.text).toBe('done')
  expect(model.calls[1]?.messages.at(-1)?.text).toBe('out\n[stderr]\nerr\n[exit code 3]')
})

test('the model receives an API error, even with a wrapToolCall middleware', async () => {
  const session = await new Theazo(local).sessions.forUser('langchain')
  const gone = await session.agents.create()
  await gone.terminate()
  const model = fakeModel()
    .respondWithTools([call('print(1)')])
    .respond(new AIMessage('understood'))
  const middleware = createMiddleware({ name: 'pass', wrapToolCall: (request, handler) => handler(request) })
  const assistant = createAgent({ model, tools: theazoTools({ agent: gone }), middleware: [middleware] })
  const { messages } = await assistant.invoke({ messages: [new HumanMessage('go')] })
  const message = messages.find(ToolMessage.isInstance)
  expect(message).toMatchObject({ status: 'error', tool_call_id: 'call_1' })
  expect(message?.text).toMatch(/ConflictError \(conflict\): Agent agt_\w+ is terminated/)
  expect(message?.artifact).toMatchObject({
    error: { code: 'conflict', retryable: false, requestId: expect.stringMatching(/^req_/) },
  })
  expect(messages.at(-1)?.text).toBe('understood')
})

test('an abort ends the run and kills the code', async () => {
  const abort = new AbortController()
  const code = 'echo started > alive; while true; do date +%s%N > tick; sleep 0.02; done'
  const ended = toolNode()
    .invoke({ messages: [calling(call(code, 'call_1', 'bash'))] }, { signal: abort.signal })
    .catch((error: unknown) => error)
  await agent.exec('bash', 'until [[ -e alive && -e tick ]]; do sleep 0.02; done')
  const reason = new Error('the user left')
  abort.abort(reason)
  expect(await ended).toBe(reason)
  // Killed code no longer writes: this ends when the file has not changed for 0.3 s.
  const still = 'last=; while [[ $(cat tick) != "$last" ]]; do last=$(cat tick); sleep 0.3; done; echo still'
  expect((await agent.exec('bash', still)).stdout).toBe('still\n')
})

test('the error for invalid input names the field and its valid values, and nothing runs', async () => {
  const { messages } = await toolNode().invoke({ messages: [calling(call('x', 'call_1', 'ruby'))] })
  expect(messages.at(-1)).toMatchObject({ status: 'error', tool_call_id: 'call_1' })
  expect(messages.at(-1)?.text).toMatch(
    /run_code did not run\. language must be 'python' or 'typescript' or 'bash', not "ruby"/,
  )
})

test('a printed tool never contains the API key', async () => {
  const { inspect } = await import('node:util')
  const [tool] = theazoTools({ agent })
  expect(inspect(tool, { depth: 20, showHidden: true }) + JSON.stringify(tool)).not.toContain(local.apiKey)
})

test('an image that the code saved is a content block, and the artifact does not contain it', async () => {
  const code = `import base64; open('dot.png', 'wb').write(base64.b64decode('${png}'))`
  const [tool] = theazoTools({ agent, images: true })
  const message = (await tool?.invoke({ ...call(code), type: 'tool_call' })) as ToolMessage
  expect(message.content).toEqual([
    { type: 'text', text: '[files made or changed: /workspace/dot.png (70 bytes)]' },
    { type: 'image', mimeType: 'image/png', data: png },
  ])
  expect(message.artifact).toMatchObject({ exitCode: 0, files: [{ path: '/workspace/dot.png', sizeBytes: 70 }] })
  expect(JSON.stringify(message.artifact)).not.toContain(png)
})

test('if the model is unknown, an image is named but not sent', async () => {
  const code = `import base64; open('dot.png', 'wb').write(base64.b64decode('${png}'))`
  const [tool] = theazoTools({ agent })
  const message = (await tool?.invoke({ ...call(code), type: 'tool_call' })) as ToolMessage
  expect(message.content).toMatch(/\[image not shown: \/workspace\/dot\.png/)
})

test.each([
  ['anthropic', {}, true],
  ['openai', { object: 'response' }, true],
  ['openai', { id: 'resp_1' }, true],
  ['openai', {}, false],
  ['google-genai', {}, false],
  ['groq', {}, false],
])('the last message of the model identifies its API: %s %j', (model_provider, more, isAccepted) => {
  const message = new AIMessage({ content: '', response_metadata: { model_provider, ...more } })
  const messages = [new AIMessage('an older one'), message, new HumanMessage('go')]
  expect([acceptsToolImages({ messages }), acceptsToolImages(messages)]).toEqual([isAccepted, isAccepted])
})

test.each([undefined, null, 'text', {}, { messages: 'none' }, [], [{ role: 'assistant' }]])(
  'a state without messages accepts no image: %j',
  (state) => expect(acceptsToolImages(state)).toBe(false),
)

test('the tool receives the id of the call, with and without a graph', async () => {
  const [tool] = theazoTools({ agent })
  const bare = (await tool?.invoke({ ...call('print(1)', 'call_bare'), type: 'tool_call' })) as ToolMessage
  expect(bare.tool_call_id).toBe('call_bare')
  expect(await tool?.invoke({ language: 'python', code: 'print(1)' })).toBe('1')
})

describe('output streams while the code runs', () => {
  // The code ends only after the test has received its first chunk.
  const code = 'echo first; echo wrong >&2; until [[ -e go-on ]]; do sleep 0.01; done; rm go-on; echo last'
  const letGoOn = async (): Promise<unknown> => await agent.exec('bash', 'touch go-on')

  test("in LangGraph's stream modes tools and custom", async () => {
    const seen: [string, unknown][] = []
    let hasGoneOn = false
    const input = { messages: [calling(call(code, 'call_1', 'bash'))] }
    for await (const [mode, chunk] of await toolNode().stream(input, { streamMode: ['tools', 'custom'] })) {
      seen.push([mode, chunk])
      if (!hasGoneOn && JSON.stringify(chunk).includes('first')) {
        hasGoneOn = true
        await letGoOn()
      }
    }
    const yielded = seen.flatMap(([mode, chunk]) => {
      const { event, data } = chunk as { event?: string; data?: { type: string; text: string } }
      return mode === 'tools' && event === 'on_tool_event' && data ? [data] : []
    })
    const written = seen.flatMap(([mode, chunk]) => (mode === 'custom' ? [chunk] : []))
    const textOf = (type: string): string => yielded.map((event) => (event.type === type ? event.text : '')).join('')
    expect([textOf('stdout'), textOf('stderr')]).toEqual(['first\nlast\n', 'wrong\n'])
    expect(written).toEqual(yielded.map((event) => ({ toolCallId: 'call_1', name: 'run_code', event })))
  })

  test('in the callbacks of a plain call', async () => {
    const [tool] = theazoTools({ agent })
    const texts: string[] = []
    const handleToolEvent = (chunk: { type: string; text: string }): void => {
      texts.push(chunk.text)
      if (chunk.text.includes('first')) void letGoOn()
    }
    const result = await tool?.invoke(
      { ...call(code, 'call_1', 'bash'), type: 'tool_call' },
      {
        callbacks: [{ handleToolEvent }],
      },
    )
    expect(texts.join('').split('\n').toSorted()).toEqual(['', 'first', 'last', 'wrong'])
    expect(result).toMatchObject({ content: 'first\nlast\n[stderr]\nwrong', artifact: { exitCode: 0 } })
  })

  test('and no byte of a large output is lost', async () => {
    const lines = 'for i in $(seq 20000); do echo "line $i"; done'
    let text = ''
    const input = { messages: [calling(call(lines, 'call_1', 'bash'))] }
    for await (const chunk of await toolNode().stream(input, { streamMode: 'tools' })) {
      if (chunk.event === 'on_tool_event') text += (chunk.data as { text: string }).text
    }
    expect(text).toBe(Array.from({ length: 20_000 }, (_, index) => `line ${index + 1}\n`).join(''))
  })

  test('a task streams the tool calls and the answer of the remote agent', async () => {
    const { key } = await local.keys.create({ mode: 'test', plan: 'team' })
    const theazo = new Theazo({ ...local, apiKey: key })
    const mocked = await (await theazo.sessions.forUser('langchain')).agents.create()
    const [tool] = theazoTools({ agent: mocked, groups: ['task'] })
    const events: { type: string }[] = []
    await tool?.invoke(
      { type: 'tool_call', name: 'run_task', id: 'call_1', args: { task: 'Add 2 and 2.', timeoutSeconds: null } },
      { callbacks: [{ handleToolEvent: (event: { type: string }) => void events.push(event) }] },
    )
    const types = new Set(events.map(({ type }) => type))
    expect([...types].toSorted()).toEqual(['output_delta', 'thinking', 'tool_call', 'tool_result'])
  })
})
