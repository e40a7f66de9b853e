/** The state of a task, with which a model makes its next step. */
export interface ModelRequest {
  taskId: string
  instructions: string | null
  prompt: string
  /** Steps of the model so far, and the results of its tool calls. */
  steps: readonly Step[]
  /** Tools it may call, by name. */
  tools: readonly string[]
  /** The beginning of this step's answer that an earlier process has emitted already; empty if none. */
  writtenText: string
}

/** A model, called for one step at a time: a pause applies between two steps, and a crash repeats no stored step. */
export interface Model {
  readonly id: string
  /** Refuses a task before it starts. @throws {ApiError} sent to the caller. */
  assertAccepts?(prompt: string): void
  /**
   * Makes the next step. An answer may be emitted in parts as it is written, starting after
   * {@link ModelRequest.writtenText}: the parts of all processes together are the answer.
   *
   * @throws {ApiError} an error that ends the task; the caller sees its code and message.
   */
  step(request: ModelRequest, onDelta: (text: string) => Promise<void>, signal: AbortSignal): Promise<ModelStep>
}

/** One step of a model: it calls tools, or returns the answer. */
export interface ModelStep {
  kind: 'model'
  thinking?: string
  toolCalls: ToolCall[]
  /** The answer, if the step calls no tool. */
  text?: string
  inputTokens: number
  outputTokens: number
  /** Micro-cents. */
  cost: number
}

/** A tool call of a model. A call that is repeated after a crash has the same id. */
export interface ToolCall {
  id: string
  tool: string
  input: unknown
}

/** The result of a tool call. */
export interface ToolStep {
  kind: 'tool'
  id: string
  tool: string
  output: unknown
  isError: boolean
  durationMs: number
}

/** One step of a task, stored as soon as it is complete. */
export type Step = ModelStep | ToolStep
