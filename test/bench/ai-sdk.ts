import { theazoTools, toUIMessageStream } from '@theazo/ai-sdk'
import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { generateText, isStepCount, simulateReadableStream, streamText, tool, type ToolSet } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import { z } from 'zod'
import { alternate, percentile, type Row, timeRow } from './measure.ts'

const input = { language: 'bash', code: 'true', timeoutSeconds: null }
const inputSchema = z.object({ language: z.string(), code: z.string(), timeoutSeconds: z.null() })
const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } } as never

const finish = (unified: 'tool-calls' | 'stop') => ({ finishReason: { unified, raw: unified }, usage })

const streamed = (...chunks: object[]) => {
  return {
    stream: simulateReadableStream({ initialDelayInMs: null, chunkDelayInMs: null, chunks: chunks as never[] }),
  }
}

/** A model that calls run_code once and then answers. */
function model(): MockLanguageModelV4 {
  const call = { type: 'tool-call', toolCallId: '1', toolName: 'run_code', input: JSON.stringify(input) } as const
  return new MockLanguageModelV4({
    doGenerate: [
      { content: [call], ...finish('tool-calls'), warnings: [] },
      { content: [{ type: 'text', text: 'done' }], ...finish('stop'), warnings: [] },
    ],
    doStream: [
      streamed(call, { type: 'finish', ...finish('tool-calls') }),
      streamed({ type: 'finish', ...finish('stop') }),
    ],
  })
}

const generate = async (tools: ToolSet): Promise<void> => {
  await generateText({ model: model(), prompt: 'go', tools, stopWhen: isStepCount(3) })
}

/** The adapter: a tool call, live output, and the bridge to the browser. */
export async function aiSdkRows(): Promise<Row[]> {
  return [await callRow(), await liveRow(), await bridgeRow()]
}

async function callRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const agent = await (await new Theazo(local).sessions.forUser('bench')).agents.create()
  const ours = theazoTools({ agent, only: ['run_code'] })
  const noOp = { run_code: tool({ inputSchema, execute: async () => ({ stdout: '' }) }) }
  const [times = [], peer = []] = await alternate(
    100,
    () => generate(ours),
    async () => {
      await generate(noOp)
      await agent.exec('bash', 'true')
    },
  )
  return timeRow(
    'AI SDK: generateText with run_code',
    percentile(times, 50),
    'no-op tool + exec',
    percentile(peer, 50),
    '<= 1.1',
  )
}

const chunkCount = 10_000

async function liveRow(): Promise<Row> {
  const agent = printingAgent()
  const expected = Array.from({ length: chunkCount }, (_, index) => `${index % 10}\n`).join('')
  const drain = async (tools: ToolSet): Promise<number> => {
    const { stream } = streamText({ model: model(), prompt: 'go', tools, stopWhen: isStepCount(3) })
    let snapshots = 0
    let last: unknown
    for await (const part of stream) {
      if (part.type !== 'tool-result') continue
      snapshots += part.preliminary ? 1 : 0
      last = part.output
    }
    if ((last as { stdout: string }).stdout !== expected) throw new Error('the result is not whole')
    return snapshots
  }
  const ours = theazoTools({ agent, only: ['run_code'] })
  const snapshots = await drain(ours)
  const peer = {
    run_code: tool({
      inputSchema,
      async *execute() {
        let stdout = ''
        await agent.exec('bash', 'true', { onStdout: (text) => void (stdout += text) })
        for (let count = 0; count < snapshots; count += 1) yield { stdout }
      },
    }),
  }
  const [times = [], theirs = []] = await alternate(
    40,
    () => drain(ours),
    () => drain(peer),
  )
  return timeRow(
    `AI SDK: ${chunkCount} chunks of output`,
    percentile(times, 50),
    'generator of a bare exec',
    percentile(theirs, 50),
    '<= 1.3',
  )
}

/** An agent whose exec prints many small chunks, from memory. */
function printingAgent(): Agent {
  const events = Array.from(
    { length: chunkCount },
    (_, index) => `event: stdout\ndata: {"text":"${index % 10}\\n"}\n\n`,
  )
  const stdout = Array.from({ length: chunkCount }, (_, index) => `${index % 10}\n`).join('')
  const result = { stdout, stderr: '', exitCode: 0, durationMs: 1 }
  const body = `${events.join('')}event: exit\ndata: ${JSON.stringify(result)}\n\n`
  const headers = { 'content-type': 'text/event-stream', 'theazo-features': 'exec-stream' }
  const fetch = async (): Promise<Response> => new Response(body, { headers })
  return new Theazo({ apiKey: 'th_live_bench', baseUrl: 'http://theazo.test', fetch }).agent('agt_1')
}

const eventCount = 20_000

/** A run as a UI message stream, compared with the loop over its events. */
async function bridgeRow(): Promise<Row> {
  const agent = runningAgent()
  const bridge = async (): Promise<void> => {
    let count = 0
    const reader = toUIMessageStream(agent.run('x')).getReader()
    while (!(await reader.read()).done) count += 1
    if (count < eventCount) throw new Error(`the bridge sent ${count} chunks`)
  }
  const loop = async (): Promise<void> => {
    let count = 0
    for await (const event of agent.run('x')) if (event) count += 1
    if (count !== eventCount) throw new Error(`the run had ${count} events`)
  }
  const [times = [], theirs = []] = await alternate(60, bridge, loop)
  const [rate = 0, peerRate = 0] = [times, theirs].map((each) => eventCount / percentile(each, 50) / 1000)
  const row = { what: 'AI SDK: events of a run to the browser', peer: 'loop over the run' }
  return {
    ...row,
    ours: `${rate.toFixed(2)} M/s`,
    theirs: `${peerRate.toFixed(2)} M/s`,
    ratio: rate / peerRate,
    goal: '>= 0.8',
  }
}

/** An agent whose run has steps of a thought, a call and a result, and then chunks of the answer, from memory. */
function runningAgent(): Agent {
  const chunks: Uint8Array[] = []
  let text = ''
  for (let id = 0; id < eventCount; id += 1) {
    const [name, data] = id === eventCount - 1 ? ['output', { taskId: 'task_1', text: '' }] : runEvent(id)
    text += `id: ${id + 1}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`
    if (text.length < 60_000 && id < eventCount - 1) continue
    chunks.push(new TextEncoder().encode(text))
    text = ''
  }
  const headers = { 'content-type': 'text/event-stream', 'theazo-features': 'replay' }
  const fetch = async (url: string | URL | Request): Promise<Response> => {
    if (!String(url).endsWith('/stream')) return Response.json({ taskId: 'task_1' })
    const rest = chunks.values()
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const { done, value } = rest.next()
          if (done) controller.close()
          else controller.enqueue(value)
        },
      },
      { highWaterMark: 0 },
    )
    return new Response(stream, { headers })
  }
  return new Theazo({ apiKey: 'th_live_bench', baseUrl: 'http://theazo.test', fetch }).agent('agt_1')
}

function runEvent(id: number): [string, object] {
  const step = id % 160
  const call = { taskId: 'task_1', id: `call_${id - (step % 3)}`, tool: 'run_code' }
  if (step >= 120) return ['output_delta', { taskId: 'task_1', text: ` piece ${id} of the answer` }]
  if (step % 3 === 0) return ['thinking', { taskId: 'task_1', text: 'First the digest, then the file. '.repeat(10) }]
  if (step % 3 === 1) return ['tool_call', { ...call, input: { code: 'print("x")\n'.repeat(60) } }]
  return [
    'tool_result',
    { ...call, isError: false, output: { stdout: '2d711642b726b04401627ca9fbac32f5\n'.repeat(60) } },
  ]
}
