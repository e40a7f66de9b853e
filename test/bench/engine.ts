import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { AIMessage, ToolMessage } from '@langchain/core/messages'
import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { SqliteSaver } from '@langchain/langgraph-checkpoint-sqlite'
import { LLMock } from '@copilotkit/aimock'
import { createAnthropic } from '@ai-sdk/anthropic'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, listenTheazo } from '@theazo/server'
import { streamText } from 'ai'
import { alternate, percentile, type Row, timeRow } from './measure.ts'

const steps = 400

/** The model loop of the server: its own cost for each step, and how soon a text reaches a subscriber. */
export async function engineRows(): Promise<Row[]> {
  return [await stepRow(), await firstDeltaRow()]
}

/** 400 calls of a tool, model and tool at no cost, each step durable. */
async function stepRow(): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-bench-'))
  try {
    await using local = await createLocalTheazo({ dataDir: join(folder, 'server') })
    const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
    const session = await new Theazo({ ...local, apiKey }).sessions.forUser('bench')
    const agent = await session.agents.create({ tools: ['web_search'] })
    const graph = toolLoop(join(folder, 'graph.db'))
    let thread = 0
    const [times = [], peer = []] = await alternate(
      10,
      async () => await agent.run(`# theazo:steps=${steps}`, { fresh: true }).result(),
      async () => {
        thread += 1
        const config = {
          configurable: { thread_id: `${thread}` },
          recursionLimit: 3 * steps,
          durability: 'sync' as const,
        }
        await graph.invoke({ messages: ['go'] }, config)
      },
    )
    const what = `a task of ${steps} tool calls, each step durable, for each call`
    const [ours, theirs] = [percentile(times, 50) / steps, percentile(peer, 50) / steps]
    return timeRow(what, ours, 'LangGraph with its SQLite checkpointer (sync)', theirs, '<= 1.0')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A graph whose model calls a tool 400 times and then answers. */
function toolLoop(path: string) {
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('model', ({ messages }) => {
      const done = (messages.length - 1) / 2
      const calls = done < steps ? [{ name: 'web_search', args: { query: 'go' }, id: `call_${done}` }] : []
      return { messages: [new AIMessage({ content: done < steps ? '' : 'done', tool_calls: calls })] }
    })
    .addNode('tools', ({ messages }) => {
      const { tool_calls: calls = [] } = messages.at(-1) as AIMessage // the model's node is before this one
      return { messages: calls.map(({ id = '' }) => new ToolMessage({ content: 'result', tool_call_id: id })) }
    })
    .addEdge(START, 'model')
    .addConditionalEdges('model', ({ messages }) => {
      return (messages.at(-1) as AIMessage).tool_calls?.length ? 'tools' : END
    })
    .addEdge('tools', 'model')
  return graph.compile({ checkpointer: new SqliteSaver(asBetterSqlite(new DatabaseSync(path))) })
}

/** The checkpointer's own driver is a native module that would be compiled at each install; Node has the same database. */
function asBetterSqlite(database: DatabaseSync): ConstructorParameters<typeof SqliteSaver>[0] {
  const adapter = {
    pragma: (text: string) => database.exec(`PRAGMA ${text}`),
    exec: (sql: string) => database.exec(sql),
    prepare(sql: string) {
      const statement = database.prepare(sql)
      return {
        run: (...args: unknown[]) => statement.run(...values(args)),
        get: (...args: unknown[]) => statement.get(...values(args)),
        all: (...args: unknown[]) => statement.all(...values(args)),
      }
    },
    transaction:
      <Args extends unknown[]>(work: (...args: Args) => void) =>
      (...args: Args) => {
        database.exec('BEGIN')
        work(...args)
        database.exec('COMMIT')
      },
  }
  return adapter as unknown as ConstructorParameters<typeof SqliteSaver>[0] // the part that the checkpointer uses
}

/** From the request to the first text: a subscriber of the agent's stream, and streamText from the same model server. */
async function firstDeltaRow(): Promise<Row> {
  const mock = new LLMock({ port: 0, host: '127.0.0.1', journalMaxEntries: 1 })
  mock.on({ predicate: () => true }, { content: 'word '.repeat(200) }, { streamingProfile: { ttft: 100, tps: 200 } })
  await mock.start()
  const anthropic = { apiKey: 'none', baseUrl: `${mock.url}/v1` }
  const prices = { 'anthropic/*': { input: 0, output: 0 } }
  try {
    await using server = await listenTheazo({ port: 0, models: { anthropic, prices } })
    const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
    const id = 'claude-sonnet-4-20250514'
    const agent = await (await theazo.sessions.forUser('bench')).agents.create({ model: { id } })
    const model = createAnthropic({ apiKey: 'none', baseURL: anthropic.baseUrl })(id)
    const ours: number[] = []
    const theirs: number[] = []
    await alternate(
      30,
      async () => {
        const run = agent.run('go', { fresh: true })
        const startedAt = performance.now()
        for await (const { type } of run) {
          if (type !== 'output_delta') continue
          ours.push(performance.now() - startedAt)
          break
        }
        await agent.tasks.cancel(await run.taskId).catch(() => {})
      },
      async () => {
        const startedAt = performance.now()
        const abort = new AbortController()
        for await (const _ of streamText({ model, prompt: 'go', abortSignal: abort.signal }).textStream) {
          theirs.push(performance.now() - startedAt)
          break
        }
        abort.abort()
      },
    )
    const what = 'the first text of a task, at a subscriber of its stream'
    return timeRow(what, median(ours), 'streamText from the same model server', median(theirs), '<= 1.2')
  } finally {
    await mock.stop()
  }
}

/** The driver's undefined is NULL. */
function values(args: unknown[]): SQLInputValue[] {
  return args.map((value) => (value === undefined ? null : value)) as SQLInputValue[] // the values of the checkpointer
}

function median(times: readonly number[]): number {
  return percentile(
    times.toSorted((a, b) => a - b),
    50,
  )
}
