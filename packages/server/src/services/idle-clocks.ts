import type { AgentStatus, IdleTimeout } from '@theazo/core'
import type { Clock } from '../clock.ts'
import type { AgentRow, EventRow } from '../store/tables.ts'
import { isOver } from './agent-lifecycle.ts'

/** A use of an agent, which is not idle until the use is disposed: an exec, an open event stream or a pause. */
interface Use extends Disposable {
  /** Its end restarts the idle clock. The end of a refused request does not: another tenant must not delay a timeout. */
  accept(): void
}

interface IdleClock extends IdleTimeout {
  status: AgentStatus
  /** How many uses are in progress. */
  uses: number
  /** In monotonic milliseconds; valid while the clock counts. */
  dueAt: number
}

/**
 * Measures the idle time of each agent with an `idleTimeout`. A clock restarts at the end of a use and at each change of
 * the agent's status. Clocks are in memory only, so that an exec costs no write: they restart with the server.
 */
export class IdleClocks {
  readonly #time: Clock
  readonly #clocks = new Map<string, IdleClock>()
  /** Called when a clock starts to count, with its monotonic due time. Must be cheap: every exec ends with it. */
  onCounting: (dueAt: number) => void = () => {}

  constructor(time: Clock) {
    this.#time = time
  }

  /** Adds an agent; one without an `idleTimeout` is ignored. */
  watch({ id, status, idle_timeout: stored }: Pick<AgentRow, 'id' | 'status' | 'idle_timeout'>): void {
    if (stored === null) return
    const timeout = JSON.parse(stored) as IdleTimeout // validated when it was stored
    const clock: IdleClock = { ...timeout, status, uses: 0, dueAt: 0 }
    this.#clocks.set(id, clock)
    this.#restart(clock)
  }

  /** Follows the status of the agents: called with every committed event. */
  follow({ agent_id: id, type, data }: EventRow): void {
    const clock = type === 'status' ? this.#clocks.get(id) : undefined
    if (!clock) return
    clock.status = (JSON.parse(data) as { status: AgentStatus }).status // written by changeAgent
    if (isOver(clock.status)) this.#clocks.delete(id)
    else this.#restart(clock)
  }

  /** The agent is not idle until the use is disposed of. */
  use(agentId: string): Use {
    const clock = this.#clocks.get(agentId)
    if (!clock) return unwatched
    clock.uses += 1
    let isAccepted = false
    let isEnded = false
    return {
      accept: () => void (isAccepted = true),
      [Symbol.dispose]: () => {
        if (isEnded) return
        isEnded = true
        clock.uses -= 1
        if (isAccepted) this.#restart(clock)
        else this.#report(clock)
      },
    }
  }

  isDue(agentId: string): boolean {
    const clock = this.#clocks.get(agentId)
    return clock !== undefined && isCounting(clock) && clock.dueAt <= this.#time.monotonic()
  }

  /** All agents whose timeout has elapsed. */
  due(): { id: string; timeout: IdleTimeout }[] {
    const now = this.#time.monotonic()
    const due = []
    for (const [id, clock] of this.#clocks) {
      if (isCounting(clock) && clock.dueAt <= now) due.push({ id, timeout: clock })
    }
    return due
  }

  /** When the first clock is due, in monotonic milliseconds; infinite if none counts. */
  nextDueAt(): number {
    let next = Number.POSITIVE_INFINITY
    for (const clock of this.#clocks.values()) if (isCounting(clock)) next = Math.min(next, clock.dueAt)
    return next
  }

  /** Makes a due agent due again after a while, because its timeout could not be carried out. */
  postpone(agentId: string, ms: number): void {
    const clock = this.#clocks.get(agentId)
    if (clock) clock.dueAt = this.#time.monotonic() + ms
  }

  #restart(clock: IdleClock): void {
    clock.dueAt = this.#time.monotonic() + clock.seconds * 1000
    this.#report(clock)
  }

  #report(clock: IdleClock): void {
    if (isCounting(clock)) this.onCounting(clock.dueAt)
  }
}

/** For `terminate` a paused agent counts as idle, so that forgotten agents do not fill their session for ever. */
function isCounting({ status, action, uses }: IdleClock): boolean {
  return uses === 0 && (status === 'idle' || (status === 'paused' && action === 'terminate'))
}

const unwatched: Use = { accept() {}, [Symbol.dispose]() {} }
