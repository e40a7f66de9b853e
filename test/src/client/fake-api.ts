import type { IncomingHttpHeaders } from 'node:http'
import type {
  CreateAgentBody,
  CreateAgentExtensions,
  CreateSessionBody,
  ExecBody,
  ExecExtensions,
  ExecResult,
  Feature,
  Money,
  OkBody,
  Page,
  RunAccepted,
  Task,
  UpdateSessionBody,
  UsageSummary,
  WireAgent,
  WireSession,
} from '@theazo/core'
import { type ApiAnswer, errorAnswer, notFound } from './api-answer.ts'
import { EventLog } from './event-log.ts'

/** A request as the API receives it. */
export interface ApiRequest {
  method: string
  /** Below `/v1`, without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
  /** Parsed JSON; undefined without a body. */
  body: unknown
}

/** An event of a run's script: its name and its data; `taskId` is added. */
export type ScriptedEvent = [event: string | undefined, data: Record<string, unknown> | string]

/** The events of a run if a test does not script them. */
export const defaultScript: ScriptedEvent[] = [
  ['thinking', { text: 'Let me see.' }],
  ['tool_call', { id: 'call_1', tool: 'run_code', input: { code: '1 + 1' } }],
  ['tool_result', { id: 'call_1', tool: 'run_code', output: '2', isError: false, durationMs: 3 }],
  ['output', { text: 'It is 2.', cost: { amount: 3, currency: 'usd' } }],
]

interface FakeAgent {
  data: WireAgent
  log: EventLog
  tasks: Map<string, Task>
}

const free = { amount: 0, currency: 'usd' } as const satisfies Money
const time = '2026-01-01T00:00:00.000Z'

/** The API of the contract with in-memory state: every endpoint, without sandboxes. */
export class FakeApi {
  /** Extensions in the header of each response; undefined sends no header. */
  features: readonly Feature[] | undefined
  /** Events of the next runs. */
  script: readonly ScriptedEvent[] = defaultScript
  /** The code of each exec that ran, whether or not its response arrived. */
  readonly execs: string[] = []
  readonly #sessions: WireSession[] = []
  readonly #agents = new Map<string, FakeAgent>()
  readonly #kept = new Map<string, ApiAnswer>()
  #count = 0

  constructor(features: readonly Feature[] | undefined) {
    this.features = features
  }

  has(feature: Feature): boolean {
    return this.features?.includes(feature) ?? false
  }

  answer(request: ApiRequest): ApiAnswer {
    const key = request.method === 'POST' && this.has('idempotency') ? request.headers['idempotency-key'] : undefined
    const kept = typeof key === 'string' ? this.#kept.get(key) : undefined
    const answer = kept ?? this.#route(request)
    if (typeof key === 'string') this.#kept.set(key, answer)
    return answer
  }

  /** Adds an agent without a request, and returns its id. */
  addAgent(): string {
    const { id } = this.#createSession({ userId: 'added' })
    return (this.#createAgent(id, {}).body as WireAgent).id
  }

  log(agentId: string): EventLog | undefined {
    return this.#agents.get(agentId)?.log
  }

  task(agentId: string, taskId: string): Task | undefined {
    return this.#agents.get(agentId)?.tasks.get(taskId)
  }

  /** The latest task of the agent; there must be one. */
  latestTask(agentId: string): string {
    return this.#agent(agentId).data.task?.id ?? ''
  }

  setStatus(agentId: string, status: WireAgent['status']): void {
    this.#agent(agentId).data.status = status
  }

  /** Emits one event of a task; `output` and `error` end it. */
  emit(agentId: string, taskId: string, [event, data]: ScriptedEvent): void {
    const { log, tasks } = this.#agent(agentId)
    const task = tasks.get(taskId)
    if (task && typeof data === 'object') {
      if (event === 'output') Object.assign(task, { status: 'completed', output: data['text'], cost: data['cost'] })
      if (event === 'error') Object.assign(task, { status: 'failed', error: data })
    }
    log.append(event, typeof data === 'string' ? data : { ...data, taskId })
  }

  #route({ method, path, query, body }: ApiRequest): ApiAnswer {
    const [root, id = '', verb, childId = '', childVerb] = path.split('/').slice(1).map(decodeURIComponent)
    const route = `${method} ${[root, id && '*', verb, childId && '*', childVerb].filter(Boolean).join('/')}`
    if (root === 'sessions' && verb !== undefined && id === 'by-user') {
      return method === 'POST' ? this.#forUser(verb, body as CreateSessionBody) : notFound(path)
    }
    switch (route) {
      case 'POST sessions':
        return { status: 201, body: this.#createSession(body as CreateSessionBody) }
      case 'GET sessions':
        return { status: 200, body: page(this.#sessions.filter(matches(query, 'userId', 'status')), query) }
      case 'GET usage/*':
        return { status: 200, body: this.#usage(query) }
      case 'POST sessions/*/agents':
        return this.#createAgent(id, body as CreateAgentBody & CreateAgentExtensions)
    }
    if (root === 'sessions' && this.has('sessions')) return this.#sessionRoute(route, id, query, body)
    const agent = root === 'agents' ? this.#agents.get(id) : undefined
    return agent ? this.#agentRoute(route, agent, childId, body) : notFound(path)
  }

  #sessionRoute(route: string, id: string, query: URLSearchParams, body: unknown): ApiAnswer {
    const session = this.#sessions.find((session) => session.id === id)
    if (!session) return notFound(id)
    const agents = [...this.#agents.values()].map(({ data }) => data).filter(({ sessionId }) => sessionId === id)
    switch (route) {
      case 'GET sessions/*':
        return { status: 200, body: session }
      case 'GET sessions/*/agents':
        return { status: 200, body: page(agents.toReversed().filter(matches(query, 'status', 'name')), query) }
      case 'PATCH sessions/*': {
        const { limits, metadata } = body as UpdateSessionBody
        session.limits = merged(session.limits, limits)
        session.metadata = merged(session.metadata, metadata)
        return { status: 200, body: session }
      }
      case 'POST sessions/*/terminate':
        session.status = 'terminated'
        for (const agent of agents) this.#terminate(this.#agent(agent.id))
        return { status: 200, body: { ok: true } satisfies OkBody }
    }
    return notFound(route)
  }

  #agentRoute(route: string, agent: FakeAgent, taskId: string, body: unknown): ApiAnswer {
    const { data, tasks } = agent
    switch (route) {
      case 'GET agents/*':
        return { status: 200, body: data }
      case 'POST agents/*/exec':
        return { status: 200, body: this.#exec(body as ExecBody & ExecExtensions) }
      case 'POST agents/*/run':
        return this.#run(agent, (body as { task: string }).task)
      case 'POST agents/*/pause':
        return this.#move(data, 'idle', 'paused')
      case 'POST agents/*/resume':
        return this.#move(data, 'paused', 'idle')
      case 'POST agents/*/terminate':
        this.#terminate(agent)
        return { status: 200, body: { ok: true } satisfies OkBody }
    }
    const task = this.has('tasks') ? tasks.get(taskId) : undefined
    if (!task) return notFound(route)
    if (route === 'GET agents/*/tasks/*') return { status: 200, body: task }
    if (route !== 'POST agents/*/tasks/*/cancel') return notFound(route)
    this.emit(data.id, taskId, ['error', { code: 'cancelled', message: 'The task was cancelled.' }])
    task.status = 'cancelled'
    return { status: 200, body: { ok: true } satisfies OkBody }
  }

  #agent(id: string): FakeAgent {
    const agent = this.#agents.get(id)
    if (!agent) throw new Error(`the fake API has no agent ${id}`)
    return agent
  }

  #id(prefix: string): string {
    this.#count += 1
    return `${prefix}_${this.#count}`
  }

  #forUser(userId: string, body: CreateSessionBody): ApiAnswer {
    const found = this.#sessions.find((session) => session.userId === userId && session.status !== 'terminated')
    return { status: 200, body: found ?? this.#createSession({ ...body, userId }) }
  }

  #createSession({ userId, limits = {}, metadata = {} }: CreateSessionBody): WireSession {
    const id = this.#id('ses')
    const session: WireSession = { id, userId, status: 'active', limits, metadata, createdAt: time, updatedAt: time }
    this.#sessions.unshift(session)
    return session
  }

  #createAgent(sessionId: string, body: CreateAgentBody & CreateAgentExtensions): ApiAnswer {
    const named = [...this.#agents.values()].find(({ data }) => body.name !== undefined && data.name === body.name)
    if (named) return { status: 200, body: named.data }
    const data = {
      id: this.#id('agt'),
      sessionId,
      ...(body.name !== undefined && { name: body.name }),
      ...(body.metadata && { metadata: body.metadata }),
      status: 'idle',
      compute: body.compute ?? { provider: 'local' },
      model: body.model ?? null,
      browser: body.browser ?? false,
      instructions: body.instructions ?? null,
      tools: body.tools ?? [],
      timeout: body.timeout ?? 300,
      task: null,
      createdAt: time,
      updatedAt: time,
    } satisfies WireAgent
    this.#agents.set(data.id, { data, log: new EventLog(), tasks: new Map() })
    return { status: 201, body: data }
  }

  /** The output of `cat` is its input; the output of other code is the code itself. */
  #exec({ code, stdin = '' }: ExecBody & ExecExtensions): ExecResult {
    this.execs.push(code)
    const input = typeof stdin === 'string' ? stdin : Buffer.from(stdin.base64, 'base64').toString()
    const stdout = code === 'cat' ? input : `${code}\n`
    return { stdout, stderr: 'done\n', exitCode: 0, durationMs: 1 } satisfies ExecResult
  }

  #run({ data, tasks }: FakeAgent, prompt: string): ApiAnswer {
    const usage = { inputTokens: 0, outputTokens: 0 }
    const [id, agentId] = [this.#id('task'), data.id]
    const task: Task = { id, agentId, status: 'running', prompt, cost: free, usage, createdAt: time, startedAt: time }
    tasks.set(id, task)
    data.task = task
    for (const event of this.script) this.emit(agentId, id, event)
    return { status: 202, body: { taskId: id, agentId } satisfies RunAccepted }
  }

  #move(data: WireAgent, from: WireAgent['status'], to: WireAgent['status']): ApiAnswer {
    if (data.status !== from) return errorAnswer(409, 'conflict', `The agent is ${data.status}.`)
    data.status = to
    return { status: 200, body: data satisfies WireAgent }
  }

  #terminate({ data, log }: FakeAgent): void {
    if (data.status === 'terminated') return
    data.status = 'terminated'
    log.append('status', { status: 'terminated' })
    log.end()
  }

  #usage(query: URLSearchParams): UsageSummary {
    const period = { from: query.get('from') ?? time, until: query.get('until') ?? time }
    const models = { inputTokens: 0, outputTokens: 0, cost: free }
    return { period, compute: { minutes: 0, cost: free }, models, storage: { gb: 0, cost: free }, total: free }
  }
}

function merged<Value extends object>(value: Value, change: object | null | undefined): Value {
  const entries = Object.entries({ ...value, ...change }).filter(([, entry]) => entry !== null)
  return (change === null ? {} : Object.fromEntries(entries)) as Value
}

function matches(query: URLSearchParams, ...names: string[]): (item: object) => boolean {
  return (item) => names.every((name) => !query.has(name) || query.get(name) === (item as never)[name])
}

function page<Item>(items: Item[], query: URLSearchParams): Page<Item> {
  const [limit, start] = [Number(query.get('limit') ?? 25), Number(query.get('cursor') ?? 0)]
  const hasMore = start + limit < items.length
  const data = items.slice(start, start + limit)
  return { data, hasMore, ...(hasMore && { nextCursor: String(start + limit) }) }
}
