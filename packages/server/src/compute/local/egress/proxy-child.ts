import { type ChildProcess, spawn } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BoundedLines } from './bounded-lines.ts'
import { maxAnswerBytes, parseAnswer, type ProxyAnswer } from './proxy-answers.ts'
import { orderLine, type ProxyOrder } from './proxy-orders.ts'

const program = fileURLToPath(new URL(`proxy-program${extname(import.meta.url)}`, import.meta.url))
const maxHeapMb = 512
/** Each lookup occupies a thread, and hosts that never answer must not occupy all threads. */
const lookupThreads = 32
/** How much of its standard error is kept, and how much is read. */
const [maxComplaintChars, maxComplaintBytes] = [2048, 65_536]
const maxReasonChars = 500
/** Times: until the first answer; between two pings; until the answer to a ping; until the process must have ended. */
const [startMs, pingMs, answerMs, endMs] = [30_000, 5_000, 15_000, 2_000]
/**
 * The server reads at most this many answers in each window, so that a process that floods it uses little of its time.
 */
const [maxAnswersPerWindow, windowMs] = [10_000, 1_000]

/**
 * One run of the proxy's program. Its answers are checked. If one is invalid or late, the process is killed.
 */
export class ProxyChild {
  /** Resolves with the reason when the process has ended. */
  readonly ended: Promise<string>
  readonly #process: ChildProcess
  readonly #onAnswer: (answer: ProxyAnswer) => void
  readonly #lines = new BoundedLines(maxAnswerBytes)
  #killedBecause: string | undefined
  #timer: NodeJS.Timeout
  #windowEndsAt = 0
  #answersInWindow = 0

  /**
   * @param folderPath for its sockets.
   * @throws if the process cannot be started.
   */
  constructor(folderPath: string, onAnswer: (answer: ProxyAnswer) => void) {
    this.#onAnswer = onAnswer
    const child = spawn(process.execPath, [`--max-old-space-size=${maxHeapMb}`, program], {
      cwd: folderPath,
      env: { UV_THREADPOOL_SIZE: `${lookupThreads}` }, // nothing of the server's own environment
      detached: true, // the server handles Ctrl-C of a terminal
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'], // the fourth is closed when the server ends
    })
    this.#process = child
    child.stdio[3]
      ?.on('error', () => {})
      .on('data', () => this.#kill('it wrote to a descriptor that it must only keep open'))
    let [complaint, complaintBytes] = ['', 0]
    child.stdin.on('error', () => {}) // the process has ended, which is reported below
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = `${complaint}${chunk}`.slice(-maxComplaintChars)
      complaintBytes += chunk.length
      if (complaintBytes > maxComplaintBytes) child.stderr.destroy()
    })
    child.stdout.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#timer = this.#killAfter(startMs)
    this.ended = new Promise((resolve) => {
      const end = (reason: string): void => {
        clearTimeout(this.#timer)
        resolve((this.#killedBecause ?? reason).slice(0, maxReasonChars))
      }
      child.on('error', ({ message }) => end(message)) // not `once`: a signal that cannot be sent is also reported here
      child.once('close', (code, signal) => end(complaint.trim() || `it ended with ${signal ?? code}`))
    })
  }

  send(order: ProxyOrder): void {
    this.#process.stdin?.write(orderLine(order))
  }

  /** Ends the process, and waits until it is gone. */
  async end(): Promise<void> {
    this.#process.stdin?.end()
    const timer = setTimeout(() => this.#kill('it did not end with the server'), endMs)
    await this.ended
    clearTimeout(timer)
  }

  #kill(reason: string): void {
    this.#killedBecause ??= reason
    this.#process.kill('SIGKILL')
  }

  #read(chunk: Buffer): void {
    if (this.#killedBecause !== undefined) return
    try {
      for (const line of this.#lines.push(chunk)) {
        const answer = parseAnswer(line)
        if (answer.kind === 'ready' || answer.kind === 'pong') this.#expectPing()
        this.#onAnswer(answer)
        this.#answersInWindow += 1
      }
    } catch (error) {
      return this.#kill(`it sent an invalid message: ${String(error)}`)
    }
    this.#slowDown()
  }

  #slowDown(): void {
    const now = performance.now()
    if (now >= this.#windowEndsAt) [this.#windowEndsAt, this.#answersInWindow] = [now + windowMs, 0]
    if (this.#answersInWindow < maxAnswersPerWindow) return
    this.#process.stdout?.pause()
    setTimeout(() => this.#process.stdout?.resume(), this.#windowEndsAt - now).unref()
  }

  #expectPing(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.send({ kind: 'ping' })
      this.#timer = this.#killAfter(answerMs)
    }, pingMs).unref()
  }

  #killAfter(timeoutMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#kill(`it did not answer within ${timeoutMs / 1000} s`), timeoutMs).unref()
  }
}
