/** Clean-up stops waiting for the Theazo server after this time: a client kills a process that does not exit. */
const cleanUpTimeoutMs = 15_000

/** The settings that decide how the Theazo server ends a sandbox that this process could not end. */
export interface CleanUpOptions {
  isLocal: boolean
  sandboxName: string | undefined
  idleTimeoutSeconds: number
}

/**
 * Disposes every resource in order, even if an earlier one fails.
 *
 * @throws the first error, or an error if it takes longer than 15 s.
 */
export async function cleanUp(resources: readonly AsyncDisposable[], options: CleanUpOptions): Promise<void> {
  const timeout = Promise.withResolvers<never>()
  const message = `The sandbox did not end within ${cleanUpTimeoutMs / 1000} s. ${laterEnd(options)}`
  const timer = setTimeout(() => timeout.reject(new Error(message)), cleanUpTimeoutMs)
  try {
    await Promise.race([disposeAll(resources), timeout.promise])
  } finally {
    clearTimeout(timer)
  }
}

function laterEnd({ isLocal, sandboxName, idleTimeoutSeconds }: CleanUpOptions): string {
  if (isLocal) return 'Its server ends with this process.'
  const verb = sandboxName === undefined ? 'ends' : 'pauses'
  return `The server ${verb} it after ${idleTimeoutSeconds} s without use.`
}

/** Calls `stop` at SIGINT, SIGTERM and SIGHUP. */
export function onStopSignal(stop: () => void): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop)
}

async function disposeAll(resources: readonly AsyncDisposable[]): Promise<void> {
  const errors: unknown[] = []
  for (const resource of resources) await resource[Symbol.asyncDispose]().then(undefined, (error) => errors.push(error))
  if (errors.length > 0) throw errors[0]
}
