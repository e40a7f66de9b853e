import type { Task, WireSession } from '@theazo/core'
import type { ReadEvent } from '../support/event-reader.ts'

export type Mode = 'live' | 'test'

/** A request as it is sent; sent again it is the same one. */
export interface Call {
  mode: Mode
  method: 'GET' | 'POST' | 'PATCH'
  path: string
  body: object
  /** `Idempotency-Key` of a POST. */
  key: string
}

export interface Answer {
  status: number
  // Each check says what it expects of the body.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any
}

/** What is known of a session. */
export interface KnownSession {
  mode: Mode
  told: WireSession
  /** A change that was sent and not answered. */
  maybe?: { n: number }
}

/** Where an agent stands, as far as its callers moved it. */
export type Stage = 'alive' | 'paused' | 'terminated' | 'failed'

/** What is known of an agent. */
export interface KnownAgent {
  id: string
  mode: Mode
  sessionId: string
  /** Whose it is: one client at a time acts on it. */
  owner: string
  stage: Stage
  /** A change that was sent and not answered. */
  maybe?: Stage | undefined
  /** Host user of its sandbox. */
  uid?: number
  /** What was written and acknowledged, by path. */
  files: Map<string, string>
  events: Map<number, ReadEvent>
  /** Number of the event up to which a stream has read without a gap. */
  readTo: number
  /** Runs that were sent, answered or not. */
  sentRuns: number
  tasks: Map<string, KnownTask>
  /** Called when another event has come, or none will. */
  onEvent: () => void
  isFollowed: boolean
}

export interface KnownTask {
  id: string
  steps: number
  isCancelSent: boolean
  /** As it was answered once it had ended. */
  final?: Task
}

/** The server died before it answered. */
export class CutError extends Error {
  override readonly name = 'CutError'
}

/** Everything that was acknowledged, over all lives of the server. */
export class KillLedger {
  readonly sessions = new Map<string, KnownSession>()
  readonly agents = new Map<string, KnownAgent>()
  /** What was used by sessions that use nothing any more, as it was told. */
  readonly closedUsage = new Map<string, unknown>()
  /** Not answered in the present life of the server. */
  cut: Call[] = []
  /** Answered in the present life of the server. */
  answered: { call: Call; answer: Answer }[] = []
  /** Ids of what was spoken of in the present life. */
  readonly touched = new Set<string>()
  /** What may never be; the test fails on the first. */
  readonly faults: string[] = []
  #count = 0

  /** Another number each time. */
  next(): number {
    return (this.#count += 1)
  }

  addSession(mode: Mode, told: WireSession): KnownSession {
    this.touched.add(told.id)
    const known = this.sessions.get(told.id)
    if (known) return known
    const session = { mode, told }
    this.sessions.set(told.id, session)
    return session
  }

  addAgent(mode: Mode, owner: string, { id, sessionId, status }: { id: string; sessionId: string; status: string }) {
    const agent: KnownAgent = {
      id,
      mode,
      sessionId,
      owner,
      stage: status === 'failed' ? 'failed' : 'alive',
      files: new Map(),
      events: new Map(),
      readTo: 0,
      sentRuns: 0,
      tasks: new Map(),
      onEvent: () => {},
      isFollowed: false,
    }
    this.touched.add(id)
    this.agents.set(id, agent)
    return agent
  }

  /** Those that have not ended. */
  agentsOf(owner: string): KnownAgent[] {
    return [...this.agents.values()].filter(
      (agent) => agent.owner === owner && (agent.stage === 'alive' || agent.stage === 'paused'),
    )
  }

  /** An event that was received: the same number is the same event, in every life. */
  addEvent(agent: KnownAgent, event: ReadEvent): void {
    const known = agent.events.get(event.id)
    if (known && (known.type !== event.type || known.data !== event.data)) {
      this.faults.push(`event ${event.id} of ${agent.id} was ${known.data} and is ${event.data}`)
    }
    agent.events.set(event.id, event)
  }
}

/** One life of the server, as its callers see it. */
export class KillWire {
  readonly ledger: KillLedger
  /** Streams that were opened; each resolves when it has ended, however. */
  readonly streams: Promise<void>[] = []
  readonly #url: string
  readonly #keys: Record<Mode, string>

  constructor(url: string, keys: Record<Mode, string>, ledger: KillLedger) {
    this.#url = url
    this.#keys = keys
    this.ledger = ledger
  }

  async get(mode: Mode, path: string): Promise<Answer> {
    return await this.#fetch({ mode, method: 'GET', path, body: {}, key: '' })
  }

  /** What comes to no answer is kept, to be sent again. @throws {CutError} */
  async send(mode: Mode, method: 'POST' | 'PATCH', path: string, body: object = {}): Promise<Answer> {
    const call: Call = { mode, method, path, body, key: `kill-${process.pid}-${this.ledger.next()}` }
    try {
      const answer = await this.#fetch(call)
      this.ledger.answered.push({ call, answer })
      return answer
    } catch (error) {
      if (error instanceof CutError) this.ledger.cut.push(call)
      throw error
    }
  }

  /** The same request, as a client sends it that has had no answer. */
  async again(call: Call): Promise<Answer> {
    return await this.#fetch(call)
  }

  async stream(agent: KnownAgent, after: number): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#keys[agent.mode]}`, 'last-event-id': String(after) }
    return await cutOr(fetch(`${this.#url}/agents/${agent.id}/stream`, { headers }))
  }

  async text(path: string): Promise<string> {
    return await (await fetch(new URL(path, this.#url))).text()
  }

  async #fetch({ mode, method, path, body, key }: Call): Promise<Answer> {
    const headers = {
      authorization: `Bearer ${this.#keys[mode]}`,
      ...(method === 'POST' && { 'idempotency-key': key }),
    }
    const init = { method, headers, ...(method !== 'GET' && { body: JSON.stringify(body) }) }
    const response = await cutOr(fetch(this.#url + path, init))
    return { status: response.status, body: await cutOr(response.json()) }
  }
}

/** A connection that breaks is a server that died: nothing else breaks one here. */
async function cutOr<Value>(promise: Promise<Value>): Promise<Value> {
  return await promise.catch((cause: unknown) => {
    throw new CutError('the server is gone', { cause })
  })
}
