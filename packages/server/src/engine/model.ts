import type { ToolImage } from '@theazo/core/tools'
import type { EngineTool } from './engine-tool.ts'

/** The state of a task, with which a model makes its next step. */
export interface ModelRequest {
  taskId: string
  instructions: string | null
  prompt: string
  /** Steps of the model so far, and the results of its tool calls. */
  steps: readonly Step[]
  /** Tools it may call. */
  tools: readonly EngineTool[]
  /** Names of the MCP servers whose tools are missing, because they do not answer. */
  missingServers: readonly string[]
  /** Earlier tasks of the same conversation, oldest first. */
  history: readonly PastTask[]
}

/** An ended task of a conversation. Calls without a result may be among its steps. */
export interface PastTask {
  prompt: string
  steps: readonly Step[]
}

/** Receives the parts of a step while the model writes it. The order stays. */
export interface StepSink {
  /** A part of a thought. Parts with the same id belong together. */
  thinking: (text: string, id: string) => Promise<void>
  /** A part of the answer, or of the text beside tool calls. */
  text: (text: string) => Promise<void>
  /** The model starts the step again: its parts so far do not count. */
  restart: () => Promise<void>
}

/** A provider, and the provider's name of the model. */
export interface ProviderModel {
  provider: string
  model: string
}

/** A model, called for one step at a time: a pause applies between two steps, and a crash repeats no stored step. */
export interface Model {
  readonly id: string
  /** Absent for models that unit tests define. */
  readonly origin?: ProviderModel | undefined
  /** Why results of tools must not have images; absent if the model accepts them. */
  readonly imagesOff?: string | undefined
  /** Refuses a task before it starts. @throws {ApiError} sent to the caller. */
  assertAccepts?(prompt: string): void
  /** Estimated cost of the next step's input in micro-cents, high for English text. Absent for a model that costs nothing. */
  estimate?(request: ModelRequest): number
  /**
   * Makes the next step, and sends its parts to the sink as they are written.
   *
   * @throws {ApiError} an error that ends the task; the caller sees its code and message.
   */
  step(request: ModelRequest, sink: StepSink, signal: AbortSignal): Promise<ModelStep>
}

/** One step of a model: it calls tools, or returns the answer. */
export interface ModelStep {
  kind: 'model'
  thinking?: string
  /** True if `thinking` went to the sink. */
  isThinkingSent?: boolean
  toolCalls: ToolCall[]
  /** The answer, or the text beside the tool calls. */
  text?: string
  /** The provider's own form of the step. The next step needs it: it may have signed thoughts and ids of items. */
  messages?: unknown[]
  inputTokens: number
  outputTokens: number
  /** Input tokens that were read from, or written to, the provider's cache. They are a part of `inputTokens`. */
  cacheReadTokens?: number
  cacheWriteTokens?: number
  /** Micro-cents. */
  cost: number
}

/** A tool call of a model. A call that is repeated after a crash has the same id. */
export interface ToolCall {
  id: string
  tool: string
  input: unknown
  /** Why the call cannot be made, for the model: its input is not JSON, for example. */
  fault?: string
}

/** The result of a tool call. */
export interface ToolStep {
  kind: 'tool'
  id: string
  tool: string
  output: unknown
  /** Images for the model. */
  images?: ToolImage[]
  isError: boolean
  /** True if the call could not be made: the tool does not exist, or its input is invalid. */
  isInvalid?: boolean
  durationMs: number
}

/** A tool call that was in flight when a process ended. It is made once more. */
interface RetryStep {
  kind: 'retry'
  /** The id of the call. */
  id: string
  call: ToolCall
}

/** A person's decision about a tool call. */
export interface ApprovalStep {
  kind: 'approval'
  /** The id of the call. */
  id: string
  approve: boolean
  /** For the model. */
  message?: string
}

/** One step of a task, stored as soon as it is complete. */
export type Step = ModelStep | ToolStep | RetryStep | ApprovalStep
