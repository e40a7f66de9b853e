import {
  type AnyTool,
  outputText,
  runCode,
  type RunCodeData,
  type ToolEvent,
  type ToolProgress,
  type ToolResult,
  type ToolSandbox,
} from '@theazo/core/tools'
import type { TextAndData } from './bounded-content.ts'
import { FailedCall } from './failed-call.ts'
import { OutputWindow } from './output-window.ts'
import { type SavedOutput, WholeOutput } from './whole-output.ts'

/** The result of a tool of the catalog. */
export type AnyToolResult = ToolResult<object>

/** The options that a call passes to its tool. */
export interface RunningCallOptions {
  signal: AbortSignal
  report: (progress: ToolProgress) => void
  onEvent: (event: ToolEvent) => void
}

const maxStreamChars = 30_000
/** Thoughts and tool calls of a task; its result has the answer. */
const maxLogChars = 4000

/**
 * A tool call that may outlive the request that started it. It collects the output that no answer has contained yet.
 */
export class RunningCall {
  readonly tool: AnyTool
  /** Resolves with the result. Rejects with a {@link FailedCall} if the call was stopped, or with an unexpected error. */
  readonly ended: Promise<AnyToolResult>
  readonly #stop = new AbortController()
  readonly #startedAt = performance.now()
  readonly #stdout = new OutputWindow(maxStreamChars)
  readonly #stderr = new OutputWindow(maxStreamChars)
  readonly #log = new OutputWindow(maxLogChars)
  readonly #whole = new WholeOutput()
  /** The streams of which an answer contained only a part. */
  readonly #cutStreams = new Set<'stdout' | 'stderr'>()
  readonly #listeners = new Set<(progress: ToolProgress) => void>()
  #isEnded = false
  #hasAnswered = false

  /** Starts the call: `run` must call the tool with the given options. */
  constructor(tool: AnyTool, run: (options: RunningCallOptions) => Promise<AnyToolResult>) {
    this.tool = tool
    this.ended = run({
      signal: this.#stop.signal,
      report: (progress) => {
        if (!this.#isCode) this.#log.add(progress.message)
        for (const listener of this.#listeners) listener(progress)
      },
      onEvent: (event) => {
        if (event.type !== 'stdout' && event.type !== 'stderr') return
        this.#whole.add(event.type, event.text)
        const window = event.type === 'stdout' ? this.#stdout : this.#stderr
        window.add(event.text)
      },
    })
      .catch((error: unknown) => {
        this.#stop.signal.throwIfAborted() // not every tool rejects with the reason
        throw error
      })
      .finally(() => (this.#isEnded = true))
    this.ended.catch(() => {}) // the answer to the client handles it; a stopped call may have none
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  get seconds(): number {
    return Math.round((performance.now() - this.#startedAt) / 1000)
  }

  /** Stops the call: the server kills its code. */
  stop(message: string): void {
    this.#stop.abort(new FailedCall(message, 'stopped'))
  }

  /** Calls the listener with progress until the returned function is called. */
  onProgress(listener: ((progress: ToolProgress) => void) | undefined): () => void {
    if (!listener) return () => {}
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Takes the output that no answer has contained yet. */
  takeOutput(): TextAndData {
    this.#hasAnswered = true
    if (!this.#isCode) {
      const { text } = this.#log.take()
      return { text: text.trimEnd(), data: { progress: text } }
    }
    const [stdout, stderr] = [this.#stdout.take(), this.#stderr.take()]
    if (stdout.isCut) this.#cutStreams.add('stdout')
    if (stderr.isCut) this.#cutStreams.add('stderr')
    const data = {
      stdout: stdout.text,
      stderr: stderr.text,
      ...(stdout.isCut && { stdoutTruncated: true }),
      ...(stderr.isCut && { stderrTruncated: true }),
    }
    return { text: outputText(data), data }
  }

  /**
   * The result for the client. If an earlier answer has contained output of `run_code`, the result contains only the
   * output since then.
   */
  resultSinceLastAnswer(result: AnyToolResult): AnyToolResult {
    if (result.isError) return result
    if (!this.#hasAnswered) {
      const { stdoutTruncated, stderrTruncated } = result.data as Partial<RunCodeData>
      if (stdoutTruncated) this.#cutStreams.add('stdout')
      if (stderrTruncated) this.#cutStreams.add('stderr')
      return result
    }
    const heading = `[ended after ${this.seconds} s]\n`
    if (!this.#isCode) return { ...result, text: `${heading}${result.text}` }
    // These flags are about the whole output; the flags of this part replace them.
    const { stdoutTruncated: _stdout, stderrTruncated: _stderr, ...rest } = result.data as RunCodeData
    const data = { ...rest, ...this.takeOutput().data }
    return { ...result, data, text: `${heading}${this.tool.toText(data)}` }
  }

  /** Saves the streams that answers have cut, from their start, as files in the sandbox. */
  async saveCutOutput(sandbox: ToolSandbox, signal: AbortSignal): Promise<SavedOutput[]> {
    return await this.#whole.save(sandbox, Array.from(this.#cutStreams), signal)
  }

  get #isCode(): boolean {
    return this.tool === runCode
  }
}
