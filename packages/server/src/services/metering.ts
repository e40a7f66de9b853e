import { type Clock, every } from '../clock.ts'
import type { EventLog, Unit } from '../events/event-log.ts'
import { newId } from '../ids.ts'
import type { Database, Queries } from '../store/database.ts'
import { type AgentRecord, selectAgent } from './agent-rows.ts'

const heartbeatMs = 5_000

type UsageTable = 'compute_usage' | 'storage_usage'

/** Begins to bill an agent's sandbox, or the files in it. */
export async function openUsage(unit: Unit, table: UsageTable, agent: AgentRecord, sizeBytes = 0): Promise<void> {
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

export interface MeteringOptions {
  database: Database
  events: EventLog
  clock: Clock
  /** Bytes of an agent's files; undefined where they are gone. */
  sizeOf: (agentId: string) => Promise<number | undefined>
  onError: (error: unknown) => void
}

/**
 * Keeps open what is billed: a heartbeat notes that it goes on, so that a server that is killed bills no more than was
 * seen, and the size of files that may have changed is measured anew.
 */
export class Metering {
  readonly #options: MeteringOptions
  readonly #changed = new Set<string>()
  #stop: (() => Promise<void>) | undefined

  constructor(options: MeteringOptions) {
    this.#options = options
  }

  /** Begins the heartbeat. */
  start(): void {
    this.#stop = every(this.#options.clock, heartbeatMs, async () => {
      await this.beat().catch(this.#options.onError)
    })
  }

  /** The agent's files may have another size from now on. */
  noteFiles(agentId: string): void {
    this.#changed.add(agentId)
  }

  /** Notes what goes on, and measures. */
  async beat(): Promise<void> {
    const { database, clock } = this.#options
    for (const table of ['compute_usage', 'storage_usage'] as const) await see(database, table, clock.now())
    const changed = new Set(this.#changed)
    this.#changed.clear()
    for (const agentId of changed) {
      await this.#measure(agentId)
    }
  }

  /** A last look, so that nothing is lost where the server ends in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop?.()
    await this.beat().catch(this.#options.onError)
  }

  async #measure(agentId: string): Promise<void> {
    const sizeBytes = await this.#options.sizeOf(agentId)
    if (sizeBytes === undefined) return
    await this.#options.events.write(async (unit) => {
      const open = await selectAgent(unit.db)
        .innerJoin('storage_usage', 'storage_usage.agent_id', 'agents.id')
        .select('storage_usage.size_bytes')
        .where('storage_usage.agent_id', '=', agentId)
        .where('storage_usage.ended_at', 'is', null)
        .executeTakeFirst()
      if (!open || open.size_bytes === sizeBytes) return
      await closeUsage(unit, 'storage_usage', agentId)
      await openUsage(unit, 'storage_usage', open, sizeBytes)
    })
  }
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
