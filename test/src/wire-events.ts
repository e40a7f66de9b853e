import { createParser } from 'eventsource-parser'
import { expect } from 'vitest'
import { z } from 'zod'

const taskId = z.string().regex(/^task_/)
const money = z.strictObject({ amount: z.int(), currency: z.literal('usd') })

/** The table of the contract, Events: OpenAPI has no words for what a stream holds. */
const dataOf: Record<string, z.ZodType> = {
  thinking: z.strictObject({ text: z.string(), taskId }),
  tool_call: z.strictObject({ id: z.string(), tool: z.string(), input: z.unknown(), taskId }),
  tool_result: z.strictObject({
    id: z.string(),
    tool: z.string(),
    output: z.unknown(),
    isError: z.boolean(),
    durationMs: z.int().min(0),
    taskId,
  }),
  output: z.strictObject({ text: z.string(), cost: money, taskId }),
  error: z.strictObject({ code: z.string(), message: z.string(), resumable: z.boolean().optional(), taskId }),
  output_delta: z.strictObject({ text: z.string(), taskId }),
  status: z.strictObject({
    status: z.enum(['booting', 'idle', 'running', 'paused', 'failed', 'terminated']),
    taskId: taskId.optional(),
    reason: z.enum(['approval_required', 'retried_tool', 'limit']).optional(),
    toolCall: z.unknown().optional(),
  }),
}

/** One event, already held against the contract's table. */
export interface WireEvent {
  id: number
  event: string
  // Each test says what it expects of the data.
  // oxlint-disable-next-line typescript/no-explicit-any
  data: any
}

/** Reads one connection of a stream. */
export class EventReader implements AsyncDisposable {
  readonly headers: Headers
  /** Of the last `retry:` line. */
  retryMs: number | undefined
  readonly comments: string[] = []
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #close: () => void
  readonly #ready: WireEvent[] = []
  readonly #decoder = new TextDecoder()
  readonly #parser = createParser({
    onEvent: ({ id, event = 'message', data }) => this.#ready.push(checked(id, event, data)),
    onRetry: (ms) => (this.retryMs = ms),
    onComment: (text) => this.comments.push(text),
    onError: (error) => expect.fail(`The stream is malformed: ${error.message}`),
  })

  constructor({ headers }: Response, body: ReadableStream<Uint8Array>, close: () => void) {
    this.headers = headers
    this.#reader = body.getReader()
    this.#close = close
  }

  /** Undefined where the server has ended the stream. */
  async next(): Promise<WireEvent | undefined> {
    while (this.#ready.length === 0) {
      const { done, value } = await this.#reader.read()
      if (done) return undefined
      this.#parser.feed(this.#decoder.decode(value, { stream: true }))
    }
    return this.#ready.shift()
  }

  /** What comes up to the first event that is wanted, which is the last. */
  async until(isWanted: (event: WireEvent) => boolean): Promise<WireEvent[]> {
    const events: WireEvent[] = []
    for (let event; (event = await this.next());) {
      events.push(event)
      if (isWanted(event)) return events
    }
    return expect.fail(`The stream ended with ${JSON.stringify(events.at(-1))}`)
  }

  /** What comes until the server ends the stream. */
  async toEnd(): Promise<WireEvent[]> {
    const events: WireEvent[] = []
    for (let event; (event = await this.next());) events.push(event)
    return events
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    await this.#reader.closed.catch(() => {}) // the abort of this very line
  }
}

/** True for the event with which a run ends on the stream: the agent is idle again. */
export function isIdle({ event, data }: WireEvent): boolean {
  return event === 'status' && data.status === 'idle'
}

function checked(id: string | undefined, event: string, text: string): WireEvent {
  expect(Object.keys(dataOf)).toContain(event)
  expect(id, `id of ${event}`).toMatch(/^[1-9]\d*$/)
  const data: unknown = JSON.parse(text)
  const problem = dataOf[event]?.safeParse(data).error
  if (problem) expect.fail(`${event} ${text} is not as the contract has it: ${problem.message}`)
  return { id: Number(id), event, data }
}
