/** What is known of a task when a model is asked for its next step. */
export interface ModelRequest {
  taskId: string
  instructions: string | null
  prompt: string
  /** What the model has said so far, and what its tool calls gave. */
  steps: readonly Step[]
  /** Tools it may call, by name. */
  tools: readonly string[]
  /** The beginning of this step's answer that an earlier process has written already. Empty: none. */
  writtenText: string
}

/** A model, asked one step at a time: a pause holds between two steps, and a crash repeats none that is kept. */
export interface Model {
  readonly id: string
  /** Why a task is not even begun; thrown to the caller. */
  assertAccepts?(prompt: string): void
  /**
   * The next step. Its answer may be emitted in pieces as it is written, after {@link ModelRequest.writtenText}: the
   * pieces of all processes together are the answer.
   *
   * @throws {ApiError} what ends the task: its code and message are told.
   */
  step(request: ModelRequest, onDelta: (text: string) => Promise<void>, signal: AbortSignal): Promise<ModelStep>
}

/** One turn of a model: it calls tools, or gives the answer. */
export interface ModelStep {
  kind: 'model'
  thinking?: string
  toolCalls: ToolCall[]
  /** The answer, where it calls no tool. */
  text?: string
  inputTokens: number
  outputTokens: number
  /** Micro-cents. */
  cost: number
}

/** A call that a model makes. Its id is the same when the call is made again after a crash. */
export interface ToolCall {
  id: string
  tool: string
  input: unknown
}

/** What a call gave. */
export interface ToolStep {
  kind: 'tool'
  id: string
  tool: string
  output: unknown
  isError: boolean
  durationMs: number
}

/** One step of a task, kept as soon as it is done. */
export type Step = ModelStep | ToolStep
