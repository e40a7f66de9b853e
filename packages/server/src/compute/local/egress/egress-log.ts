import type { Logger } from 'pino'
import type { EgressRecord } from './egress-record.ts'

/** Log lines of an agent in a time window: code that is refused in a loop must not fill the operator's disk. */
const [maxLines, windowMs] = [200, 10_000]

/** Logs the records of an agent. If it omits some, the next line has their number. */
export function egressLog(log: Logger, agentId: string): (record: EgressRecord) => void {
  let [windowEndsAt, lines, omitted] = [0, 0, 0]
  return ({ target, ...measured }) => {
    const now = performance.now()
    if (now >= windowEndsAt) [windowEndsAt, lines] = [now + windowMs, 0]
    lines += 1
    if (lines > maxLines) {
      omitted += 1
      return
    }
    log.info({ agentId, ...target, ...measured, ...(omitted > 0 && { leftOut: omitted }) }, 'egress')
    omitted = 0
  }
}
