import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('../../..', import.meta.url))

export interface ServerProcess extends AsyncDisposable {
  child: ChildProcess
  url: string
  apiKey: string
  /** All of standard output and standard error so far. */
  output: { out: string; err: string }
  /** Resolves with the exit code when the process has ended. */
  ended: Promise<number | null>
}

/** Starts the server as a program, e.g. `npm run -s serve -- --json …`, and waits for the line with its url and key. */
export async function startServer(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (output.out += chunk))
  child.stderr.on('data', (chunk) => (output.err += chunk))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const line = await Promise.race([
    once(createInterface(child.stdout), 'line').then(([text]) => String(text)),
    ended.then((code) => Promise.reject(new Error(`the server ended with ${code}: ${output.err}`))),
  ])
  const { url, apiKey } = JSON.parse(line)
  return {
    child,
    url,
    apiKey,
    output,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
