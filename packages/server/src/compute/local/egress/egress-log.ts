import type { Logger } from 'pino'
import type { EgressRecord } from './egress-record.ts'

/** Lines an agent may have in a while: code that is refused in a loop must not fill the operator's disk. */
const [maxLines, windowMs] = [200, 10_000]

/** Logs the records of an agent. If it leaves some out, the next line says how many. */
export function egressLog(log: Logger, agentId: string): (record: EgressRecord) => void {
  let [windowEndsAt, lines, leftOut] = [0, 0, 0]
  return ({ target, ...measured }) => {
    const now = performance.now()
    if (now >= windowEndsAt) [windowEndsAt, lines] = [now + windowMs, 0]
    lines += 1
    if (lines > maxLines) {
      leftOut += 1
      return
    }
    log.info({ agentId, ...target, ...measured, ...(leftOut > 0 && { leftOut }) }, 'egress')
    leftOut = 0
  }
}
