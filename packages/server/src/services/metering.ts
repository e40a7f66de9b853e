import { type Clock, every } from '../clock.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import { newId } from '../ids.ts'
import type { Database, Queries } from '../store/database.ts'
import { type AgentRecord, agentRecord } from './agent-rows.ts'

const heartbeatMs = 5_000
const measureMs = 10_000

type UsageTable = 'compute_usage' | 'storage_usage'

/** The fields of an agent that billing needs. */
type BilledAgent = Pick<AgentRecord, 'id' | 'session_id' | 'key_id' | 'project'>

/** Opens an interval: starts to bill an agent's sandbox, or its files. */
export async function openUsage(unit: UnitOfWork, table: UsageTable, agent: BilledAgent, sizeBytes = 0): Promise<void> {
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

/** Bills an agent's files to its present key from now on. */
export async function rebillStorage(unit: UnitOfWork, agent: AgentRecord): Promise<void> {
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

/** Closes the open interval. If the clock was set back, the interval ends at the time of its last heartbeat. */
export async function closeUsage({ db, now }: UnitOfWork, table: UsageTable, agentId: string): Promise<void> {
  await db
    .updateTable(table)
    .set((expression) => ({
      ended_at: expression.case().when('seen_at', '>', now).then(expression.ref('seen_at')).else(now).end(),
    }))
    .where('agent_id', '=', agentId)
    .where('ended_at', 'is', null)
    .execute()
}

/** The parts of the server that {@link Metering} uses. */
export interface MeteringOptions {
  database: Database
  events: EventLog
  clock: Clock
  /** Bytes of an agent's files; undefined if the files are gone. */
  sizeOf: (agentId: string) => Promise<number | undefined>
  /** Agents with processes that may write at any time, including detached processes after an exec. */
  writers: () => Promise<string[]>
  onError: (error: unknown) => void
}

/**
 * Maintains the open intervals of billing. A heartbeat stores the present time in them, which is their end if the server
 * is killed. Files that may have changed are measured again.
 */
export class Metering {
  readonly #options: MeteringOptions
  readonly #changed = new Set<string>()
  #stop: (() => Promise<unknown>) | undefined
  #isClosed = false

  constructor(options: MeteringOptions) {
    this.#options = options
  }

  /** Starts the heartbeat and the measuring. Measuring may take long and must not delay the heartbeat. */
  start(): void {
    const { clock, onError } = this.#options
    const stops = [
      every(clock, heartbeatMs, () => this.#beat().catch(onError)),
      every(clock, measureMs, () => this.#measureChanged()),
    ]
    this.#stop = () => Promise.all(stops.map((stop) => stop()))
  }

  /** Notes that the agent's files may have changed. */
  noteFiles(agentId: string): void {
    this.#changed.add(agentId)
  }

  /** Stops with a last heartbeat, so that no time is lost. The next server measures all files again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#stop?.()
    await this.#beat().catch(this.#options.onError)
  }

  async #beat(): Promise<void> {
    const { database, clock } = this.#options
    for (const table of ['compute_usage', 'storage_usage'] as const) {
      await recordHeartbeat(database, table, clock.now())
      await this.#followClock(table)
    }
  }

  async #measureChanged(): Promise<void> {
    const writers = await this.#options.writers().catch((error: unknown) => {
      this.#options.onError(error)
      return []
    })
    // A copy: changes during this loop are measured the next time.
    for (const agentId of new Set([...this.#changed, ...writers])) {
      if (this.#isClosed) return
      this.#changed.delete(agentId)
      await this.#measure(agentId).catch((error: unknown) => {
        this.#changed.add(agentId)
        this.#options.onError(error)
      })
    }
  }

  /** If the clock was set back, closes the open intervals at their last heartbeat and opens new ones. */
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

/** Bytes in the agent's open storage interval; undefined if none is open. */
async function sizeOfOpen(db: Queries, agentId: string): Promise<number | undefined> {
  const open = await db
    .selectFrom('storage_usage')
    .select('size_bytes')
    .where('agent_id', '=', agentId)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  return open?.size_bytes
}

async function recordHeartbeat(db: Queries, table: UsageTable, now: number): Promise<void> {
  await db.updateTable(table).set({ seen_at: now }).where('ended_at', 'is', null).where('seen_at', '<', now).execute()
}

/** After a crash: closes the open intervals at their last heartbeat. */
export async function closeAtLastSeen(db: Queries): Promise<void> {
  for (const table of ['compute_usage', 'storage_usage'] as const) {
    await db
      .updateTable(table)
      .set((expression) => ({ ended_at: expression.ref('seen_at') }))
      .where('ended_at', 'is', null)
      .execute()
  }
}
