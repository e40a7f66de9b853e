// Starts processes that end when this one is asked to.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

const children = new Set()
let stoppedBy

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    stoppedBy ??= signal
    // Passed on, for a signal to this process alone. A terminal's Ctrl-C reaches the child twice then; it takes that.
    for (const child of children) child.kill(signal)
    // Nothing runs between two steps: there is nobody to wait for.
    if (children.size === 0) process.exit(128 + constants.signals[signal])
  })
}

/**
 * Runs a program to its end and answers its exit code, 128 + n where signal n ended it.
 *
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, stdout?: 'inherit' | 'stderr' }} options
 */
export async function run(command, args, { cwd, env, stdout = 'inherit' } = {}) {
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ['inherit', stdout === 'stderr' ? process.stderr : 'inherit', 'inherit'],
  })
  children.add(child)
  try {
    const exitCode = await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
    })
    // The step was told to stop, so no next one may start. A program that ended well on a signal ended well.
    if (stoppedBy) process.exit(exitCode)
    return exitCode
  } finally {
    children.delete(child)
  }
}
