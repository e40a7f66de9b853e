import { pino } from 'pino'

/** Takes log lines of this process. */
export interface LogLines {
  write(line: string): void
  /** Lets go out what was gathered; the process goes on until it has. */
  flush(): void
}

const gatherMs = 100
const gatherChars = 16_384

/**
 * Log lines for standard error. Those of a tenth of a second go out together: a write costs several times what a line
 * does. Where the process ends by a fault, the rest is written before it does; where it is killed, the rest is lost.
 */
export function logLines(): LogLines {
  // A slow reader of standard error must not hold the server.
  const out = pino.destination({ dest: 2, sync: false })
  let gathered = ''
  let timer: NodeJS.Timeout | undefined
  const take = (): string => {
    clearTimeout(timer)
    timer = undefined
    const lines = gathered
    gathered = ''
    return lines
  }
  const flush = (): void => {
    if (gathered !== '') out.write(take())
  }
  process.once('exit', () => {
    if (gathered !== '') pino.destination({ dest: 2, sync: true }).write(take())
  })
  return {
    write(line) {
      gathered += line
      if (gathered.length >= gatherChars) flush()
      else timer ??= setTimeout(flush, gatherMs).unref()
    },
    flush,
  }
}
