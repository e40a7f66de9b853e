import { Buffer } from 'node:buffer'
import { TheazoError } from '@theazo/core'
import type { Experimental_SandboxProcess as SandboxProcess } from 'ai'
import { resolvePath } from './base-directory.ts'
import { closeScript, followScript, killScript, startScript, writeScript } from './spawn-scripts.ts'
import type { SandboxHost } from './sandbox-host.ts'

/** Options of `spawn`, as the AI SDK defines them. */
interface SpawnOptions {
  command: string
  workingDirectory?: string | undefined
  env?: Record<string, string> | undefined
  stdin?: boolean | undefined
  abortSignal?: AbortSignal | undefined
}

/** Bytes of standard input in one exec. */
const maxInputBytes = 1024 * 1024
/** Consecutive lost connections after which the output is given up. */
const maxFailures = 3
/** Attempts to kill an aborted process while the connection is down, and the milliseconds between them. */
const kills = { maxAttempts: 60, delayMs: 1000 }

/**
 * Starts a command that may run longer than one exec, and follows its output by a series of execs. Output that nobody reads
 * is kept in memory, without a limit.
 */
export async function spawnProcess(
  agent: SandboxHost,
  { command, workingDirectory, env, stdin: hasStdin = false, abortSignal }: SpawnOptions,
): Promise<SandboxProcess & { stdin?: WritableStream<Uint8Array> }> {
  abortSignal?.throwIfAborted()
  const folder = `/tmp/.theazo-spawn-${crypto.randomUUID()}`
  const cwd = resolvePath(workingDirectory ?? '.')
  // Without the signal: an abort here could end the exec after it has started the command.
  const started = await agent.exec('bash', startScript(folder, command, hasStdin), { cwd, env })
  const pid = Number(started.stdout)
  if (started.exitCode !== 0 || !Number.isInteger(pid))
    throw spawnError(`The command was not started: ${started.stderr}`)

  const [stdout, stderr] = [new ByteStream(), new ByteStream()]
  const ended = follow(agent, { folder, pid, stdout, stderr })
  ended.catch(() => {}) // also for callers that never wait
  const kill = async (): Promise<void> => {
    await agent.exec('bash', killScript(pid))
    await ended.catch(() => {})
  }
  const onAbort = (): void => void killAborted(agent, pid, ended)
  if (abortSignal?.aborted) onAbort()
  else abortSignal?.addEventListener('abort', onAbort, { once: true })
  const result = ended.finally(() => abortSignal?.removeEventListener('abort', onAbort))
  result.catch(() => {})
  return {
    pid,
    stdout: stdout.readable,
    stderr: stderr.readable,
    ...(hasStdin && { stdin: standardInput(agent, folder, ended) }),
    async wait() {
      // The reason of an abort counts, also if the connection was lost.
      const exitCode = await result.finally(() => abortSignal?.throwIfAborted())
      return { exitCode }
    },
    kill,
  }
}

/** Kills the process of an aborted call. While the connection is down it tries again, until the process has ended. */
async function killAborted(agent: SandboxHost, pid: number, ended: Promise<number>): Promise<void> {
  const over = ended.then(
    () => true,
    () => false, // the output was lost, but the process may still run
  )
  for (let attempt = 1; attempt <= kills.maxAttempts; attempt += 1) {
    try {
      await agent.exec('bash', killScript(pid))
      return
    } catch (error) {
      if (!TheazoError.isInstance(error) || !error.isRetryable) return // e.g. the sandbox is gone
    }
    const delay = new Promise<false>((resolve) => setTimeout(() => resolve(false), kills.delayMs).unref())
    const isOver = await Promise.race([over.then((has) => has || delay), delay])
    if (isOver) return
  }
}

interface Followed {
  folder: string
  pid: number
  stdout: ByteStream
  stderr: ByteStream
}

/** Reads the output to its end and returns the exit code. */
async function follow(agent: SandboxHost, { folder, pid, stdout, stderr }: Followed): Promise<number> {
  const at: { out: number; err: number; exit?: number } = { out: 0, err: 0 }
  let failures = 0
  try {
    while (at.exit === undefined) {
      const lines = new LineReader((line) => {
        const { out, err, exit } = JSON.parse(line) as { out?: string; err?: string; exit?: number }
        if (out !== undefined) at.out += stdout.push(Buffer.from(out, 'base64'))
        if (err !== undefined) at.err += stderr.push(Buffer.from(err, 'base64'))
        if (exit !== undefined) at.exit = exit
        failures = 0
      })
      try {
        const followed = await agent.exec('python', followScript(folder, pid, at), {
          onStdout: (text) => lines.add(text),
        })
        if (followed.exitCode !== 0) throw spawnError(`The output of the process was lost: ${followed.stderr}`)
      } catch (error) {
        failures += 1
        if (!TheazoError.isInstance(error) || !error.isRetryable || failures > maxFailures) throw error
      }
    }
  } catch (error) {
    stdout.fail(error)
    stderr.fail(error)
    throw error
  }
  stdout.end()
  stderr.end()
  return at.exit
}

/**
 * Each write is one exec. It resolves when the process has read the bytes, or they are in its pipe. It rejects if the
 * process has closed its standard input or has ended.
 */
function standardInput(agent: SandboxHost, folder: string, ended: Promise<number>): WritableStream<Uint8Array> {
  const over = new AbortController()
  const end = (): void => over.abort(spawnError('The process has ended.'))
  ended.then(end, end)
  const close = async (): Promise<void> => {
    if (!over.signal.aborted) await agent.exec('bash', closeScript(folder))
  }
  return new WritableStream({
    async write(bytes) {
      for (let start = 0; start < bytes.length; start += maxInputBytes) {
        const stdin = bytes.subarray(start, start + maxInputBytes)
        const { exitCode } = await agent.exec('bash', writeScript(folder), { stdin, signal: over.signal })
        if (exitCode !== 0) throw spawnError('The process did not read all bytes: it has closed its standard input.')
      }
    },
    close,
    abort: close,
  })
}

function spawnError(message: string): TheazoError {
  return new TheazoError(message, { code: 'spawn_error' })
}

/** A stream of bytes that is written from outside. A reader that cancels it does not stop the process. */
class ByteStream {
  readonly readable: ReadableStream<Uint8Array>
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor() {
    this.readable = new ReadableStream({
      start: (controller) => {
        this.#controller = controller
      },
      cancel: () => {
        this.#controller = undefined
      },
    })
  }

  /** @returns the number of bytes. */
  push(bytes: Uint8Array): number {
    this.#controller?.enqueue(bytes)
    return bytes.length
  }

  end(): void {
    this.#controller?.close()
  }

  fail(error: unknown): void {
    this.#controller?.error(error)
  }
}

/** Calls back for each complete line. The rest of a broken connection is dropped: its bytes are followed again. */
class LineReader {
  readonly #onLine: (line: string) => void
  #rest = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  add(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#onLine(line)
  }
}
