import { AIMessage } from '@langchain/core/messages'
import { type StructuredToolInterface, tool } from '@langchain/core/tools'
import { MessagesAnnotation, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { Theazo } from '@theazo/core'
import type { ToolSandbox } from '@theazo/core/tools'
import { theazoTools } from '@theazo/langchain'
import { createLocalTheazo } from '@theazo/server'
import { z } from 'zod'
import { alternate, percentile, type Row, timeRow } from './measure.ts'

const result = { stdout: '4\n', stderr: '', exitCode: 0, durationMs: 1 }
const call = {
  type: 'tool_call' as const,
  id: 'call_1',
  name: 'run_code',
  args: { language: 'python', code: 'print(2 + 2)', timeoutSeconds: null },
}
const messages = [new AIMessage({ content: '', tool_calls: [call] })]
const chunks = 10_000
const line = 'a line of output\n'

/** The cost of our LangChain tool, compared with a hand-written one. */
export async function langChainRows(): Promise<Row[]> {
  return [...(await stubRows()), await execRow(), await streamRow()]
}

/** A sandbox that answers immediately: what remains is the cost of the tool. */
async function stubRows(): Promise<Row[]> {
  const sandbox: ToolSandbox = { id: 'agt_1', exec: async () => result }
  const ours = runCodeOf(sandbox)
  const theirs = handWritten()
  const rows: Row[] = []
  for (const [what, call] of Object.entries(callers)) {
    const [own = [], other = []] = await alternate(5000, call(ours), call(theirs))
    rows.push(timeRow(what, percentile(own, 50), 'hand-written tool()', percentile(other, 50), '<= 1.0'))
  }
  return rows
}

const callers: Record<string, (tool: StructuredToolInterface) => () => Promise<unknown>> = {
  'LangChain tool, stub sandbox, by tool call': (tool) => () => tool.invoke(call),
  'LangChain tool, stub sandbox, through ToolNode': (tool) => {
    const node = new ToolNode([tool])
    return () => node.invoke({ messages })
  },
}

function runCodeOf(agent: ToolSandbox): StructuredToolInterface {
  const [own] = theazoTools({ agent, only: ['run_code'] })
  if (!own) throw new Error('there is no run_code')
  return own
}

/** As a user would write it, with the same fields. */
function handWritten(): StructuredToolInterface {
  return tool(async ({ code }) => [`${code.length}`, result], {
    name: 'run_code',
    description: 'Run code.',
    responseFormat: 'content_and_artifact',
    schema: z.object({
      language: z.enum(['python', 'typescript', 'bash']),
      code: z.string(),
      timeoutSeconds: z.number().int().min(1).max(120).nullable(),
    }),
  })
}

/** A real exec through the tool, compared with the bare exec of core and the cost of the tool itself. */
async function execRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const agent = await (await new Theazo(local).sessions.forUser('bench')).agents.create()
  const ours = runCodeOf(agent)
  const bare = (): Promise<unknown> => agent.exec('python', 'print(2 + 2)')
  const [own = [], other = []] = await alternate(200, () => ours.invoke(call), bare)
  return timeRow('LangChain tool, real exec', percentile(own, 50), 'bare core exec', percentile(other, 50), '<= 1.1')
}

/** Output in many chunks through a graph's stream, compared with a no-op generator that yields each as an event. */
async function streamRow(): Promise<Row> {
  const sandbox: ToolSandbox = {
    id: 'agt_1',
    async exec(_lang, _code, { onStdout } = {}) {
      for (let index = 0; index < chunks; index += 1) await onStdout?.(line)
      return { ...result, stdout: line.repeat(chunks) }
    },
  }
  const events = await readStream(runCodeOf(sandbox))
  if (events.text !== line.repeat(chunks)) throw new Error('the stream has lost output')
  const noop = tool(
    async function* () {
      for (let index = 0; index < chunks; index += 1) yield { type: 'stdout', text: line }
      return ['4', result]
    },
    { name: 'run_code', description: 'Run code.', responseFormat: 'content_and_artifact', schema: z.object({}) },
  )
  const [own = [], other = []] = await alternate(
    10,
    () => readStream(runCodeOf(sandbox)),
    () => readStream(noop as unknown as StructuredToolInterface), // the type of a generator tool is narrower
  )
  const what = `LangChain stream of ${chunks} chunks, as ${events.count} events`
  return timeRow(what, percentile(own, 50), `no-op generator, ${chunks} events`, percentile(other, 50), '<= 1.3')
}

async function readStream(streamed: StructuredToolInterface): Promise<{ text: string; count: number }> {
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('tools', new ToolNode([streamed]))
    .addEdge('__start__', 'tools')
    .compile()
  const texts: string[] = []
  const stream = await graph.stream({ messages }, { streamMode: 'tools' })
  for await (const chunk of stream as AsyncIterable<{ event: string; data?: { text: string } }>) {
    if (chunk.event === 'on_tool_event') texts.push(chunk.data?.text ?? '')
  }
  return { text: texts.join(''), count: texts.length }
}
