import type { Task, WireSession } from '@theazo/core'
import type { ReadEvent } from '../support/event-reader.ts'

export type Mode = 'live' | 'test'

/** A request. A retry sends exactly the same. */
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

/** A session as its clients know it. */
export interface KnownSession {
  mode: Mode
  reported: WireSession
  /** Metadata of an update that was sent and not answered. */
  maybe?: { n: number }
}

/** State of an agent, as far as its clients changed it. */
export type Stage = 'alive' | 'paused' | 'terminated' | 'failed'

/** An agent as its clients know it. */
export interface KnownAgent {
  id: string
  mode: Mode
  sessionId: string
  /** The client that uses it: only one client changes an agent. */
  owner: string
  stage: Stage
  /** State after a change that was sent and not answered. */
  maybe?: Stage | undefined
  /** Uid of its sandbox on the host. */
  uid?: number
  /** Acknowledged content of files, by path. */
  files: Map<string, string>
  events: Map<number, ReadEvent>
  /** Number of the last event that a stream received without a gap. */
  readTo: number
  /** Runs that were sent, answered or not. */
  sentRuns: number
  tasks: Map<string, KnownTask>
  /** Called for each event, and at the end of the stream. */
  onEvent: () => void
  isFollowed: boolean
}

export interface KnownTask {
  id: string
  steps: number
  isCancelSent: boolean
  /** The response for the task after its end. */
  final?: Task
}

/** The server was killed before it answered. */
export class CutError extends Error {
  override readonly name = 'CutError'
}

/** Everything that the server acknowledged, over all its restarts. */
export class KillLedger {
  readonly sessions = new Map<string, KnownSession>()
  readonly agents = new Map<string, KnownAgent>()
  /** Reported usage of terminated sessions, which must not change. */
  readonly closedUsage = new Map<string, unknown>()
  /** Requests without a response since the last restart. */
  cut: Call[] = []
  /** Requests with a response since the last restart. */
  answered: { call: Call; answer: Answer }[] = []
  /** Ids of sessions and agents that were used since the last restart. */
  readonly used = new Set<string>()
  /** Violated rules; the test fails on the first. */
  readonly faults: string[] = []
  #count = 0

  /** A new number for each call. */
  next(): number {
    return (this.#count += 1)
  }

  addSession(mode: Mode, reported: WireSession): KnownSession {
    this.used.add(reported.id)
    const known = this.sessions.get(reported.id)
    if (known) return known
    const session = { mode, reported }
    this.sessions.set(reported.id, session)
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
    this.used.add(id)
    this.agents.set(id, agent)
    return agent
  }

  /** Agents that have not ended. */
  agentsOf(owner: string): KnownAgent[] {
    return [...this.agents.values()].filter(
      (agent) => agent.owner === owner && (agent.stage === 'alive' || agent.stage === 'paused'),
    )
  }

  /** Adds a received event: the same number is the same event, also after a restart. */
  addEvent(agent: KnownAgent, event: ReadEvent): void {
    const known = agent.events.get(event.id)
    if (known && (known.type !== event.type || known.data !== event.data)) {
      this.faults.push(`event ${event.id} of ${agent.id} was ${known.data} and is ${event.data}`)
    }
    agent.events.set(event.id, event)
  }
}

/** The API of the server between two kills. */
export class KillApi {
  readonly ledger: KillLedger
  /** Streams that were opened; each resolves when it has ended for any reason. */
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

  /** Sends a request, and records it for a retry if no response comes. @throws {CutError} */
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

  /** Sends the same request again, like a client that had no response. */
  async repeat(call: Call): Promise<Answer> {
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

/** A broken connection means that the server was killed: nothing else breaks one here. */
async function cutOr<Value>(promise: Promise<Value>): Promise<Value> {
  return await promise.catch((cause: unknown) => {
    throw new CutError('the server is gone', { cause })
  })
}
