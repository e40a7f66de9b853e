import { type Clock, every } from '../clock.ts'
import type { EventLog, Unit } from '../events/event-log.ts'
import { newId } from '../ids.ts'
import type { Database, Queries } from '../store/database.ts'
import { type AgentRecord, agentRecord } from './agent-rows.ts'

const heartbeatMs = 5_000
const measureMs = 10_000

type UsageTable = 'compute_usage' | 'storage_usage'

/** Who is billed for an agent. */
type BilledAgent = Pick<AgentRecord, 'id' | 'session_id' | 'key_id' | 'project'>

/** Begins to bill an agent's sandbox, or the files in it. */
export async function openUsage(unit: Unit, table: UsageTable, agent: BilledAgent, sizeBytes = 0): Promise<void> {
  const row = {
    id: newId('use'),
    agent_id: agent.id,
    session_id: agent.session_id,
    key_id: agent.key_id,
    project: agent.project,
    started_at: unit.now,
    seen_at: unit.now,
    ended_at: null,
  }
  if (table === 'compute_usage') await unit.db.insertInto(table).values(row).execute()
  else
    await unit.db
      .insertInto(table)
      .values({ ...row, size_bytes: sizeBytes })
      .execute()
}

/** From now on an agent's files are billed to whom its key says. */
export async function rebillStorage(unit: Unit, agent: AgentRecord): Promise<void> {
  const open = await unit.db
    .selectFrom('storage_usage')
    .select('size_bytes')
    .where('agent_id', '=', agent.id)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  if (!open) return
  await closeUsage(unit, 'storage_usage', agent.id)
  await openUsage(unit, 'storage_usage', agent, open.size_bytes)
}

/** Ends what is open. A clock that was set back makes no time negative, and takes back none that was seen. */
export async function closeUsage({ db, now }: Unit, table: UsageTable, agentId: string): Promise<void> {
  await db
    .updateTable(table)
    .set((expression) => ({
      ended_at: expression.case().when('seen_at', '>', now).then(expression.ref('seen_at')).else(now).end(),
    }))
    .where('agent_id', '=', agentId)
    .where('ended_at', 'is', null)
    .execute()
}

/** What metering needs of the server. */
export interface MeteringOptions {
  database: Database
  events: EventLog
  clock: Clock
  /** Bytes of an agent's files; undefined where they are gone. */
  sizeOf: (agentId: string) => Promise<number | undefined>
  /** Agents whose processes may write at any time, detached ones after the end of their exec too. */
  writers: () => Promise<string[]>
  onError: (error: unknown) => void
}

/**
 * Keeps open what is billed: a heartbeat notes that it goes on, so that a server that is killed bills no more than was
 * seen, and the size of files that may have changed is measured anew.
 */
export class Metering {
  readonly #options: MeteringOptions
  readonly #changed = new Set<string>()
  #stop: (() => Promise<unknown>) | undefined
  #isClosed = false

  constructor(options: MeteringOptions) {
    this.#options = options
  }

  /** Begins the heartbeat. What measures may take long, and must not hold it up. */
  start(): void {
    const { clock, onError } = this.#options
    const stops = [
      every(clock, heartbeatMs, () => this.#beat().catch(onError)),
      every(clock, measureMs, () => this.#measureChanged()),
    ]
    this.#stop = () => Promise.all(stops.map((stop) => stop()))
  }

  /** The agent's files may have another size from now on. */
  noteFiles(agentId: string): void {
    this.#changed.add(agentId)
  }

  /** A last look, so that no time is lost where the server ends in order. The next one measures all files anew. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#stop?.()
    await this.#beat().catch(this.#options.onError)
  }

  async #beat(): Promise<void> {
    const { database, clock } = this.#options
    for (const table of ['compute_usage', 'storage_usage'] as const) {
      await see(database, table, clock.now())
      await this.#followClock(table)
    }
  }

  async #measureChanged(): Promise<void> {
    const writers = await this.#options.writers().catch((error: unknown) => {
      this.#options.onError(error)
      return []
    })
    // A copy: the changes that are noted meanwhile are measured the next time.
    for (const agentId of new Set([...this.#changed, ...writers])) {
      if (this.#isClosed) return
      this.#changed.delete(agentId)
      await this.#measure(agentId).catch((error: unknown) => {
        this.#changed.add(agentId)
        this.#options.onError(error)
      })
    }
  }

  /** A clock that was set back: what is open ends where it was seen last, and goes on by the new time. */
  async #followClock(table: UsageTable): Promise<void> {
    const { database, clock, events } = this.#options
    const isAhead = async (db: Queries, now: number) =>
      await db
        .selectFrom(table)
        .select('agent_id')
        .where('ended_at', 'is', null)
        .where('seen_at', '>', now + heartbeatMs)
        .execute()
    if ((await isAhead(database, clock.now())).length === 0) return
    await events.write(async (unit) => {
      for (const { agent_id: id } of await isAhead(unit.db, unit.now)) {
        const agent = await agentRecord(unit.db, id)
        const sizeBytes = await sizeOfOpen(unit.db, id)
        await closeUsage(unit, table, id)
        if (agent) await openUsage(unit, table, agent, sizeBytes)
      }
    })
  }

  async #measure(agentId: string): Promise<void> {
    const { database, events, sizeOf } = this.#options
    const sizeBytes = await sizeOf(agentId)
    if (sizeBytes === undefined || (await sizeOfOpen(database, agentId)) === sizeBytes) return
    await events.write(async (unit) => {
      const known = await sizeOfOpen(unit.db, agentId)
      const agent = await agentRecord(unit.db, agentId)
      if (!agent || known === undefined || known === sizeBytes) return
      await closeUsage(unit, 'storage_usage', agentId)
      await openUsage(unit, 'storage_usage', agent, sizeBytes)
    })
  }
}

/** Bytes that the agent is billed for now; undefined where it is for none. */
async function sizeOfOpen(db: Queries, agentId: string): Promise<number | undefined> {
  const open = await db
    .selectFrom('storage_usage')
    .select('size_bytes')
    .where('agent_id', '=', agentId)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  return open?.size_bytes
}

async function see(db: Queries, table: UsageTable, now: number): Promise<void> {
  await db.updateTable(table).set({ seen_at: now }).where('ended_at', 'is', null).where('seen_at', '<', now).execute()
}

/** After a crash: what was open ended when it was last seen. */
export async function closeAtLastSeen(db: Queries): Promise<void> {
  for (const table of ['compute_usage', 'storage_usage'] as const) {
    await db
      .updateTable(table)
      .set((expression) => ({ ended_at: expression.ref('seen_at') }))
      .where('ended_at', 'is', null)
      .execute()
  }
}
