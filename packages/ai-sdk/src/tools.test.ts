import { type Agent, Theazo } from '@theazo/core'
import { type RunCodeInput, toolGroups } from '@theazo/core/tools'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { generateText, stepCountIs, streamText } from 'ai'
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest'
import { acceptsToolImages } from './accepts-tool-images.ts'
import type { RunCodeOutput } from './running-code.ts'
import { isVersion7, modelThatCalls, type ScriptedModel } from './testing/scripted-model.ts'
import type { ReadOnlyToolName, TheazoToolSet } from './tool-set.ts'
import { theazoTools } from './tools.ts'

let local: LocalTheazo
let agent: Agent

beforeAll(async () => {
  local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('ai-sdk')
  agent = await session.agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())

/** An image of one pixel. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const modelThatRuns = (input: RunCodeInput): ScriptedModel => modelThatCalls('run_code', input)

const data = { stdout: '4\n', stderr: '', exitCode: 0, durationMs: expect.any(Number) }

test('run_code works in generateText: the output is typed data, the model receives text', async () => {
  const model = modelThatRuns({ language: 'python', code: 'print(2 + 2)' })
  const result = await generateText({ model, prompt: 'go', tools: theazoTools({ agent }), stopWhen: stepCountIs(3) })
  expect(result.text).toBe('done')
  expect(result.steps[0]?.toolResults[0]?.output).toEqual({ agentId: agent.id, ...data })
  expect(model.doGenerateCalls[1]?.prompt.at(-1)).toMatchObject({
    role: 'tool',
    content: [{ type: 'tool-result', toolCallId: 'call_1', output: { type: 'text', value: '4' } }],
  })
})

test('run_code works in streamText', async () => {
  const model = modelThatRuns({ language: 'typescript', code: 'const n: number = 4; console.log(n)' })
  const result = streamText({ model, prompt: 'go', tools: theazoTools({ agent }), stopWhen: stepCountIs(3) })
  const parts = []
  for await (const part of result.fullStream) parts.push(part)
  expect(parts.findLast(({ type }) => type === 'tool-result')).toMatchObject({ output: data })
  expect(await result.text).toBe('done')
})

test('an API error is a tool error that the model receives, with the typed error in the step', async () => {
  const session = await new Theazo(local).sessions.forUser('ai-sdk')
  const gone = await session.agents.create()
  await gone.terminate()
  const model = modelThatRuns({ language: 'python', code: 'print(1)' })
  const result = await generateText({
    model,
    prompt: 'go',
    tools: theazoTools({ agent: gone }),
    stopWhen: stepCountIs(3),
  })
  const part = result.steps[0]?.content.find(({ type }) => type === 'tool-error')
  expect(part).toMatchObject({
    error: { name: 'TheazoToolError', code: 'conflict', status: 409, cause: { name: 'ConflictError' } },
  })
  const shown = JSON.stringify(model.doGenerateCalls[1]?.prompt.at(-1))
  expect(shown).toMatch(/"value":"ConflictError \(conflict\): Agent agt_\w+ is terminated.*\\nDo not retry as is\."/)
})

test('an abort of the call kills the code', async () => {
  const abort = new AbortController()
  const model = modelThatRuns({
    language: 'bash',
    code: 'echo started > alive; while true; do date +%s%N > tick; sleep 0.02; done',
  })
  const ended = generateText({
    model,
    prompt: 'go',
    tools: theazoTools({ agent }),
    stopWhen: stepCountIs(3),
    abortSignal: abort.signal,
  }).catch((error: unknown) => error)
  await agent.exec('bash', 'until [[ -e alive && -e tick ]]; do sleep 0.02; done')
  abort.abort()
  expect(await ended).toMatchObject({ name: 'AbortError' })
  expect(model.doGenerateCalls).toHaveLength(1)
  // Killed code no longer writes: this ends when the file has not changed for 0.3 s.
  const still = 'last=; while [[ $(cat tick) != "$last" ]]; do last=$(cat tick); sleep 0.3; done; echo still'
  expect((await agent.exec('bash', still)).stdout).toBe('still\n')
})

test('a call whose signal is already aborted sends no request', async () => {
  let calls = 0
  const counting = { id: 'agt_1', exec: async () => expect.fail(`call ${(calls += 1)}`) }
  const options = { toolCallId: 'call_1', messages: [], abortSignal: AbortSignal.abort(), context: {} }
  const tools = theazoTools({ agent: counting })
  const run = async () => {
    const output = await tools.run_code.execute?.({ language: 'bash', code: 'true' }, options)
    for await (const _ of output as AsyncIterable<unknown>) expect.fail('there is a result')
  }
  await expect(run).rejects.toThrow(/abort/i)
  const file = async () => await tools.read_file.execute?.({ path: 'a' }, options)
  await expect(file).rejects.toThrow(/abort/i)
  expect(calls).toBe(0)
})

test('names, inputs and outputs are exactly typed', async () => {
  const tools = theazoTools({ agent })
  type FileTool = 'read_file' | 'write_file' | 'edit_file' | 'list_files' | 'delete_file'
  expectTypeOf<keyof typeof tools>().toEqualTypeOf<'run_code' | FileTool>()
  const chosen = {
    all: theazoTools({ agent, groups: 'all' }),
    only: theazoTools({ agent, only: ['get_usage'] }),
    both: theazoTools({ agent, groups: ['files', 'code'], only: ['run_code', 'get_usage'] }),
    readOnly: theazoTools({ agent, groups: ['files', 'usage'], readOnly: true }),
  }
  expectTypeOf<typeof chosen.all>().toEqualTypeOf<TheazoToolSet>()
  expectTypeOf<keyof typeof chosen.only>().toEqualTypeOf<'get_usage'>()
  expectTypeOf<keyof typeof chosen.both>().toEqualTypeOf<'run_code'>()
  expectTypeOf<keyof typeof chosen.readOnly>().toEqualTypeOf<'read_file' | 'list_files' | 'get_usage'>()
  expect(Object.values(chosen).map((tools) => Object.keys(tools).length)).toEqual([17, 1, 1, 3])
  const { steps } = await generateText({
    model: modelThatRuns({ language: 'bash', code: 'true' }),
    prompt: 'go',
    tools,
    stopWhen: stepCountIs(3),
  })
  for (const result of steps.flatMap(({ toolResults }) => toolResults)) {
    if (result.dynamic || result.toolName !== 'run_code') continue
    expectTypeOf(result.input).toEqualTypeOf<RunCodeInput>()
    expectTypeOf(result.output).toEqualTypeOf<RunCodeOutput>()
  }
})

test('the model receives an image that the code saved as an image', async () => {
  const code = `import base64; open('dot.png', 'wb').write(base64.b64decode('${png}'))`
  const model = modelThatRuns({ language: 'python', code })
  const tools = theazoTools({ agent, images: true })
  const { text } = await generateText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3) })
  expect(text).toBe('done')
  const [result] = (model.doGenerateCalls[1]?.prompt.at(-1)?.content ?? []) as { output?: unknown }[]
  expect(result?.output).toMatchObject({
    type: 'content',
    value: [
      { type: 'text', text: '[files made or changed: /workspace/dot.png (70 bytes)]' },
      isVersion7
        ? { type: 'file', mediaType: 'image/png', data: { type: 'data', data: png } }
        : { type: 'image-data', mediaType: 'image/png', data: png },
    ],
  })
})

test('ReadOnlyToolName lists the read-only tools of the catalog', () => {
  const names = ['read_file', 'list_files', 'get_task', 'get_usage', 'get_agent', 'list_agents'] as const
  expectTypeOf<(typeof names)[number]>().toEqualTypeOf<ReadOnlyToolName>()
  const tools = Object.values(toolGroups).flat()
  expect(tools.flatMap(({ name, hints }) => (hints.readOnly ? [name] : [])).toSorted()).toEqual(names.toSorted())
})

test.each([
  ['anthropic.messages', 'claude', true],
  ['google.generative-ai', 'gemini', true],
  ['google.vertex.chat', 'gemini', true],
  ['vertex.anthropic.messages', 'claude', true],
  ['amazon-bedrock', 'nova', true],
  ['openai.responses', 'gpt', true],
  ['azure.responses', 'gpt', true],
  ['openai.chat', 'gpt', false],
  ['azure.chat', 'gpt', false],
  ['compatible.chat', 'any', false],
  ['gateway', 'anthropic/claude', true],
  ['gateway', 'meta/llama', false],
])('whether a model accepts images from tools: %s %s', (provider, modelId, isAccepted) => {
  expect(acceptsToolImages(Object.assign(modelThatRuns({ language: 'bash', code: '' }), { provider, modelId }))).toBe(
    isAccepted,
  )
  if (provider === 'gateway') expect(acceptsToolImages(modelId)).toBe(isAccepted)
})

test('the error for invalid input is short, even if the input is large', async () => {
  const model = modelThatRuns({ language: { a: 'z'.repeat(300_000) } as never, code: '1' })
  await generateText({ model, prompt: 'go', tools: theazoTools({ agent }), stopWhen: stepCountIs(3) })
  const shown = JSON.stringify(model.doGenerateCalls[1]?.prompt.at(-1))
  expect(shown).toContain("language must be 'python' or 'typescript' or 'bash', not an object.")
  expect(shown.length).toBeLessThan(1000)
})

test('an image from an earlier model is named with the reason why it is not sent', () => {
  const image = { path: 'a.png', mediaType: 'image/png', base64: png, width: 1, height: 1 }
  const output = { path: 'a.png', sizeBytes: 70, images: [image] }
  const options = { toolCallId: '1', input: { path: 'a.png' }, output }
  const { read_file: tool } = theazoTools({ agent, images: false })
  const shown = tool.toModelOutput?.(options)
  expect(shown).toMatchObject({
    type: 'text',
    value: expect.stringContaining('[image not shown: a.png: images are switched off'),
  })
})

test('an output with an unknown format becomes text and does not throw', () => {
  const { run_code: tool } = theazoTools({ agent })
  for (const output of [undefined, null, 'text', {}, { stdout: 1 }] as never[]) {
    expect(tool.toModelOutput?.({ toolCallId: '1', input: {} as never, output })).toMatchObject({ type: 'text' })
  }
})
