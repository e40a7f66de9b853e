// Runs child processes and forwards the signals that stop this process to them.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

const children = new Set()
let stoppedBy

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    stoppedBy ??= signal
    // A signal may reach this process alone. With Ctrl-C in a terminal the child receives it twice, which is harmless.
    for (const child of children) child.kill(signal)
    // Between two steps no child runs, so nothing delays the exit.
    if (children.size === 0) process.exit(128 + constants.signals[signal])
  })
}

/**
 * Runs a program to its end and returns its exit code, or 128 + n if signal n ended it. If this process has received a
 * signal, it exits with that code instead of returning.
 *
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, stdout?: 'inherit' | 'stderr' }} options `stdout: 'stderr'` redirects
 *   the program's standard output to standard error.
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
    // After a signal no further step may start. The exit code is the child's: 0 if it shut down cleanly.
    if (stoppedBy) process.exit(exitCode)
    return exitCode
  } finally {
    children.delete(child)
  }
}
