import { pino } from 'pino'

/** Accepts the log lines of this process. */
export interface LogLines {
  write(line: string): void
  /** Writes the gathered lines; the process does not end before that. */
  flush(): void
}

const gatherMs = 100
const gatherChars = 16_384

/**
 * Writes log lines to standard error, gathered for a tenth of a second: a write costs several times as much as a line. If
 * a fault ends the process, the gathered lines are written first; if the process is killed, they are lost.
 */
export function logLines(): LogLines {
  // A slow reader of standard error must not block the server.
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
