import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import {
  convertToModelMessages,
  generateText,
  readUIMessageStream,
  simulateReadableStream,
  stepCountIs,
  streamText,
  type UIMessage,
  type UIMessageChunk,
  validateUIMessages,
} from 'ai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunCodeOutput } from './running-code.ts'
import { countedFetch, type CountedFetch } from './testing/open-requests.ts'
import { isVersion7, modelThatCalls, scriptedModel, textsReceived } from './testing/scripted-model.ts'
import { theazoTools } from './tools.ts'

let local: LocalTheazo
let agent: Agent
/** Tasks are run by the scripted model of test keys. */
let mocked: Agent

let requests: CountedFetch
const expectNoOpenRequests = async () => await expect.poll(() => requests.open()).toBe(0)

beforeAll(async () => {
  local = await createLocalTheazo()
  requests = countedFetch(local.fetch)
  const client = { ...local, fetch: requests.fetch }
  agent = await (await new Theazo(client).sessions.forUser('live')).agents.create()
  const { key } = await local.keys.create({ mode: 'test', plan: 'team' })
  mocked = await (await new Theazo({ ...client, apiKey: key }).sessions.forUser('live')).agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())

const bash = (code: string) => ({ language: 'bash', code })
const waitFor = (file: string) => `until [[ -e ${file} ]]; do sleep 0.01; done; rm ${file}`
const letGoOn = async (file = 'go-on') => await agent.exec('bash', `touch ${file}`)
/** Fails if the code still runs: killed code no longer writes its file. */
const expectStopped = async () => {
  const still = 'last=; while [[ $(cat tick) != "$last" ]]; do last=$(cat tick); sleep 0.3; done; echo still'
  expect((await agent.exec('bash', still)).stdout).toBe('still\n')
}
const ticking = 'rm -f tick; echo alive; while true; do date +%s%N > tick; sleep 0.02; done'

type Result = { preliminary?: boolean; output: RunCodeOutput }
const isResult = (part: { type: string }): part is { type: string } & Result => part.type === 'tool-result'

describe('run_code', () => {
  test('in streamText, output arrives while the code runs, and the last result is whole', async () => {
    const model = modelThatCalls('run_code', bash(`echo first; echo wrong >&2; ${waitFor('go-on')}; echo last`))
    const tools = theazoTools({ agent, liveIntervalMs: 1 })
    const results: Result[] = []
    const { fullStream } = streamText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3) })
    let hasGoneOn = false
    for await (const part of fullStream) {
      if (!isResult(part)) continue
      results.push(part)
      const isWaiting = part.output.stdout === 'first\n' && part.output.stderr === 'wrong\n'
      if (isWaiting && !hasGoneOn) {
        hasGoneOn = true
        expect(part).toMatchObject({ preliminary: true, output: { status: 'running' } })
        await letGoOn()
      }
    }
    const whole = { agentId: agent.id, stdout: 'first\nlast\n', stderr: 'wrong\n', exitCode: 0 }
    expect(results.at(-1)?.output).toMatchObject(whole)
    expect(results.at(-1)?.output).not.toHaveProperty('status')
    expect(results.map(({ preliminary = false }) => preliminary)).toEqual([...results.slice(1).map(() => true), false])
    expect(textsReceived(model)).toEqual(['first\nlast\n[stderr]\nwrong'])
  })

  test('snapshots are bounded, few, and lose nothing of the result', async () => {
    const code = 'for i in $(seq 3000); do echo "line $i"; done; printf %s "$(printf "\\U1F600%.0s" {1..5000})"'
    const model = modelThatCalls('run_code', bash(code))
    const tools = theazoTools({ agent, liveIntervalMs: 50 })
    const results: Result[] = []
    const started = performance.now()
    const { fullStream } = streamText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3) })
    for await (const part of fullStream) if (isResult(part)) results.push(part)
    const passedMs = performance.now() - started
    expect(results.length).toBeLessThan(passedMs / 50 + 4) // the first one, two final ones, and the end of the interval
    for (const { output } of results.slice(0, -2)) {
      expect(output.stdout.length).toBeLessThanOrEqual(8000)
      expect(output.stdout.isWellFormed()).toBe(true)
    }
    const { stdout } = await agent.exec('bash', code)
    expect(stdout.length).toBeGreaterThan(30_000) // the catalog cuts the result to its head and tail
    expect(results.at(-1)?.output).toMatchObject({ stdoutTruncated: true })
    const last = results.at(-1)?.output.stdout ?? ''
    const [head = '', tail = ''] = last.split(/\n\[… \d+ of \d+ characters cut …\]\n/)
    expect([stdout.startsWith(head), stdout.endsWith(tail)]).toEqual([true, true])
    expect(last.length).toBeGreaterThanOrEqual(29_998) // one less at each cut if it would be in the middle of a character
  })

  test('generateText returns the result alone', async () => {
    const model = modelThatCalls('run_code', bash('echo out'))
    const { steps } = await generateText({
      model,
      prompt: 'go',
      tools: theazoTools({ agent }),
      stopWhen: stepCountIs(3),
    })
    const outputs = steps.flatMap(({ toolResults }) => toolResults.map(({ output }) => output))
    expect(outputs).toEqual([expect.objectContaining({ stdout: 'out\n', exitCode: 0 })])
  })

  test('an infinite interval switches preliminary results off', async () => {
    const tools = theazoTools({ agent, liveIntervalMs: Number.POSITIVE_INFINITY })
    const model = modelThatCalls('run_code', bash('echo a; sleep 0.1; echo b'))
    const results: Result[] = []
    const { fullStream } = streamText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3) })
    for await (const part of fullStream) if (isResult(part)) results.push(part)
    expect(results).toEqual([expect.objectContaining({ output: expect.objectContaining({ stdout: 'a\nb\n' }) })])
  })
})

test('run_task shows the steps and the answer of the remote agent, and keeps the steps', async () => {
  const tools = theazoTools({ agent: mocked, groups: ['task'], liveIntervalMs: 1 })
  const model = modelThatCalls('run_task', { task: 'Add. theazo:steps=30', timeoutSeconds: null })
  const outputs: unknown[] = []
  const { fullStream } = streamText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3) })
  for await (const part of fullStream) if (part.type === 'tool-result') outputs.push(part.output)
  const final = outputs.at(-1) as { steps: { tool: string }[] }
  expect(outputs[0]).toMatchObject({ status: 'running', thinking: expect.stringMatching(/./) })
  expect(final).toMatchObject({ output: expect.stringContaining('Mocked answer'), cost: { currency: 'usd' } })
  expect(final.steps).toHaveLength(20)
  for (const step of final.steps) {
    expect(step).toMatchObject({ status: 'completed', tool: expect.any(String), input: expect.any(String) })
  }
  expect(textsReceived(model)[0]).toMatch(/^Mocked answer[^]*\[cost: \$0\.\d\d\]$/)
})

describe('an abort', () => {
  test('while the code runs kills it, ends the stream and keeps the last output for the conversation', async () => {
    const tools = theazoTools({ agent, liveIntervalMs: 1 })
    const model = modelThatCalls('run_code', bash(ticking))
    const stop = new AbortController()
    const result = streamText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3), abortSignal: stop.signal })
    const chunks: UIMessageChunk[] = []
    for await (const chunk of result.toUIMessageStream()) {
      chunks.push(chunk)
      if (chunk.type === 'tool-output-available') stop.abort()
    }
    expect(chunks.at(-1)).toMatchObject({ type: 'abort' })
    expect(model.doStreamCalls).toHaveLength(1)
    await expectNoOpenRequests()
    await expectStopped()

    const message = await lastMessage(chunks)
    const part = message?.parts.find(({ type }) => type === 'tool-run_code')
    expect(part).toMatchObject({ state: 'output-available', preliminary: true, output: { status: 'running' } })
    // A stored conversation with such a part is valid, and tells the model what happened.
    const user: UIMessage = { id: '0', role: 'user', parts: [{ type: 'text', text: 'go' }] }
    const messages = await validateUIMessages({ messages: [user, message], tools: tools as never })
    const again = scriptedModel('understood')
    const prompt = await convertToModelMessages(messages, { tools })
    await generateText({ model: again, messages: [...prompt, { role: 'user', content: 'what happened?' }], tools })
    expect(textsReceived(again)).toEqual([
      '[The code was stopped before its end. Files that it wrote are kept. Its last output:]\nalive\n',
    ])
  })

  test('while the sandbox is created ends the call; nothing runs', async () => {
    const creating = Promise.withResolvers<void>()
    const stop = new AbortController()
    const never = async () => {
      creating.resolve()
      return await new Promise<Agent>(() => {})
    }
    const model = modelThatCalls('run_code', bash('true'))
    const options = { model, prompt: 'go', stopWhen: stepCountIs(3), abortSignal: stop.signal }
    const ended = generateText({ ...options, tools: theazoTools({ agent: never }) }).catch((error: unknown) => error)
    await creating.promise
    stop.abort()
    expect(await ended).toMatchObject({ name: 'AbortError' })
    expect(model.doGenerateCalls).toHaveLength(1)
  })

  test('of a task cancels it', async () => {
    const tools = theazoTools({ agent: mocked, groups: ['task'] })
    const stop = new AbortController()
    const model = modelThatCalls('run_task', { task: 'Wait. theazo:hang', timeoutSeconds: null })
    const options = { model, prompt: 'go', tools, stopWhen: stepCountIs(3), abortSignal: stop.signal }
    const ended = generateText(options).catch((error: unknown) => error)
    const running = async () => (await mocked.refresh()).data.task
    await expect.poll(running).toMatchObject({ status: 'running', prompt: 'Wait. theazo:hang' })
    expect(requests.open()).toBeGreaterThan(0) // the events of the task
    stop.abort()
    expect(await ended).toMatchObject({ name: 'AbortError' })
    await expect.poll(running).toMatchObject({ status: 'cancelled' })
    await expectNoOpenRequests()
  })
})

// The AI SDK passes no signal on when its consumer leaves (README, Live output).
test('without a signal, the deadline of the call ends code whose consumer has left', async () => {
  const model = modelThatCalls('run_code', { ...bash(`echo $$ > pid; ${ticking}`), timeoutSeconds: 5 })
  const tools = theazoTools({ agent, liveIntervalMs: 1 })
  const reader = streamText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3) })
    .toUIMessageStream()
    .getReader()
  for (let part = await reader.read(); part.value?.type !== 'tool-output-available'; part = await reader.read()) {
    expect(part.done).toBe(false)
  }
  await reader.cancel()
  const isRunning = async () => (await agent.exec('bash', 'kill -0 $(cat pid) && echo running')).stdout
  expect(await isRunning()).toBe('running\n')
  await expect.poll(isRunning, { timeout: 30_000, interval: 200 }).toBe('')
})

test('a consumer that leaves the results ends the code', async () => {
  const tools = theazoTools({ agent, liveIntervalMs: 1 })
  const options = { toolCallId: '1', messages: [], context: {} }
  const results = tools.run_code.execute?.(bash(ticking) as never, options) as AsyncIterable<RunCodeOutput>
  for await (const output of results) {
    expect(output).toMatchObject({ status: 'running', stdout: 'alive\n' })
    expect(requests.open()).toBe(1)
    break
  }
  await expectNoOpenRequests()
  await expectStopped()
})

describe('the text of an error is safe to show', () => {
  test("an error of the caller's own function is not quoted; it is the cause", async () => {
    const secret = new Error('connect ECONNREFUSED postgres://admin:pw@10.0.0.7')
    const model = modelThatCalls('run_code', bash('true'))
    const tools = theazoTools({ agent: () => Promise.reject(secret) })
    const result = streamText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3), onError: () => {} })
    const chunks: UIMessageChunk[] = []
    for await (const chunk of result.toUIMessageStream()) chunks.push(chunk)
    const text = 'run_code failed because of an error in this app. Stop using this tool and tell the user.'
    const shown = isVersion7 ? text : 'An error occurred.'
    expect(chunks.find(({ type }) => type === 'tool-output-error')).toMatchObject({ errorText: shown })
    expect(textsReceived(model)).toEqual([text])
    const [step] = await result.steps
    const failed = step?.content.find(({ type }) => type === 'tool-error')
    expect(failed).toMatchObject({ error: { name: 'TheazoToolError', code: 'internal_error', cause: secret } })
  })

  test('a server that cannot be reached is not named', async () => {
    const closed = new Theazo({ apiKey: 'th_live_secret', baseUrl: 'http://127.0.0.1:9', maxRetries: 0 })
    for (const [tool, input] of [
      ['run_code', bash('true')],
      ['list_files', { path: null }],
    ] as const) {
      const model = modelThatCalls(tool, input)
      const tools = theazoTools({ agent: closed.agent('agt_1') })
      await generateText({ model, prompt: 'go', tools, stopWhen: stepCountIs(3) })
      expect(textsReceived(model)[0]).toMatch(/^ConnectionError \(connection_error\): the server was not reached/)
      expect(textsReceived(model)[0]).not.toMatch(/127\.0\.0\.1|th_live_secret/)
    }
  })
})

async function lastMessage(chunks: readonly UIMessageChunk[]): Promise<UIMessage> {
  let last: UIMessage | undefined
  for await (const message of readUIMessageStream({ stream: simulateReadableStream({ chunks: [...chunks] }) }))
    last = message
  return last ?? expect.fail('there is no message')
}
