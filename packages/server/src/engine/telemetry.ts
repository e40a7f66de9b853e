import {
  type Attributes,
  type Context,
  context,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api'
import { ApiError } from '../errors.ts'
import { centsOf } from '../pricing.ts'
import type { Model, ModelStep, ToolCall, ToolStep } from './model.ts'

/** The outcome of a call: `invalid` if it could not be made, `aborted` if a cancel, a timeout or a shutdown stopped it. */
type CallOutcome = 'ok' | 'error' | 'invalid' | 'aborted'

/** A call of a model that has ended. */
export interface EndedModelCall {
  model: string
  outcome: CallOutcome
  durationMs: number
  /** Undefined unless the outcome is `ok`. */
  step: ModelStep | undefined
}

/** A tool call that has ended. */
export interface EndedToolCall {
  /** `unknown` if the agent does not have the tool. */
  tool: string
  outcome: CallOutcome
}

/** Counts the calls of the loop. */
export interface EngineObserver {
  modelCalled: (call: EndedModelCall) => void
  toolCalled: (call: EndedToolCall) => void
}

/** A task, for its telemetry. */
export interface TaskTelemetryOptions {
  taskId: string
  agent: { id: string; name: string | null }
  model: Model
  /** Undefined for test keys: their calls are not real. */
  observer: EngineObserver | undefined
}

/** Names of the conventions for providers whose own names differ. */
const providerNames: Readonly<Record<string, string>> = { google: 'gcp.gemini' }

/**
 * The spans and counts of one task in this process, by OpenTelemetry's conventions for GenAI: `invoke_agent` has a child
 * `chat` for each step of the model, and `execute_tool` for each call. They have no text of prompts, answers, inputs or
 * outputs. Without an SDK of OpenTelemetry in the process, the spans cost nothing.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/
 */
export class TaskTelemetry {
  readonly #options: TaskTelemetryOptions
  readonly #tracer: Tracer = trace.getTracer('@theazo/server')
  readonly #span: Span
  readonly #context: Context
  readonly #sum = { inputTokens: 0, outputTokens: 0, cost: 0 }
  #error: string | undefined

  constructor(options: TaskTelemetryOptions) {
    this.#options = options
    const { agent } = options
    const name = agent.name === null ? 'invoke_agent' : `invoke_agent ${agent.name}`
    const named = agent.name === null ? {} : { 'gen_ai.agent.name': agent.name }
    const attributes = { ...this.#common('invoke_agent'), ...this.#modelAttributes(), ...named }
    // The parent is the request that has started or resumed the task, if something traces requests.
    this.#span = this.#tracer.startSpan(name, { kind: SpanKind.INTERNAL, attributes })
    this.#context = trace.setSpan(context.active(), this.#span)
  }

  /** The model, with a span and a count for each step. */
  observed(model: Model): Pick<Model, 'step'> {
    return { step: async (...args) => await this.#step(model, ...args) }
  }

  /** Runs a tool call in its span. */
  async call(
    { id, tool }: ToolCall,
    isKnown: boolean,
    signal: AbortSignal,
    work: () => Promise<ToolStep>,
  ): Promise<ToolStep> {
    const attributes = { ...this.#common('execute_tool'), 'gen_ai.tool.name': tool, 'gen_ai.tool.call.id': id }
    const span = this.#start(`execute_tool ${tool}`, SpanKind.INTERNAL, attributes)
    const ended = (outcome: CallOutcome): void => {
      this.#options.observer?.toolCalled({ tool: isKnown ? tool : 'unknown', outcome })
    }
    return await this.#inside(span, signal, ended, async () => {
      const step = await work()
      if (!step.isError) return { value: step, outcome: 'ok' }
      fail(span, step.isInvalid ? 'invalid_tool_call' : 'tool_error')
      return { value: step, outcome: step.isInvalid ? 'invalid' : 'error' }
    })
  }

  /** Marks the task as failed. The first code remains. */
  failed(code: string): void {
    this.#error ??= code
  }

  /** Ends the span of the task. @param isSuspended true if another span continues the task later. */
  end(isSuspended: boolean): void {
    const { inputTokens, outputTokens, cost } = this.#sum
    this.#span.setAttributes({
      ...usageAttributes(inputTokens, outputTokens, cost),
      'theazo.task.suspended': isSuspended,
    })
    if (this.#error !== undefined) fail(this.#span, this.#error)
    this.#span.end()
  }

  async #step(model: Model, ...[request, sink, signal]: Parameters<Model['step']>): Promise<ModelStep> {
    const attributes = { ...this.#common('chat'), ...this.#modelAttributes() }
    const span = this.#start(`chat ${attributes['gen_ai.request.model']}`, SpanKind.CLIENT, attributes)
    const startedAt = performance.now()
    const ended = (outcome: CallOutcome, step?: ModelStep): void => {
      const durationMs = performance.now() - startedAt
      this.#options.observer?.modelCalled({ model: model.id, outcome, durationMs, step })
    }
    return await this.#inside(span, signal, ended, async () => {
      const step = await model.step(request, sink, signal)
      this.#count(span, step)
      return { value: step, outcome: 'ok' }
    })
  }

  #count(span: Span, { inputTokens, outputTokens, cost, cacheReadTokens, cacheWriteTokens }: ModelStep): void {
    this.#sum.inputTokens += inputTokens
    this.#sum.outputTokens += outputTokens
    this.#sum.cost += cost
    span.setAttributes({
      ...usageAttributes(inputTokens, outputTokens, cost),
      ...(cacheReadTokens !== undefined && { 'gen_ai.usage.cache_read.input_tokens': cacheReadTokens }),
      ...(cacheWriteTokens !== undefined && { 'gen_ai.usage.cache_creation.input_tokens': cacheWriteTokens }),
    })
  }

  #start(name: string, kind: SpanKind, attributes: Attributes): Span {
    return this.#tracer.startSpan(name, { kind, attributes }, this.#context)
  }

  /** Runs work in its span. Spans that the work makes, e.g. of its requests, become children. */
  async #inside<Value>(
    span: Span,
    signal: AbortSignal,
    ended: (outcome: CallOutcome, value?: Value) => void,
    work: () => Promise<{ value: Value; outcome: CallOutcome }>,
  ): Promise<Value> {
    try {
      const { value, outcome } = await context.with(trace.setSpan(this.#context, span), work)
      ended(outcome, value)
      return value
    } catch (error) {
      fail(span, typeOf(error))
      ended(signal.aborted ? 'aborted' : 'error')
      throw error
    } finally {
      span.end()
    }
  }

  #common(operation: string): Attributes {
    const { taskId, agent } = this.#options
    return {
      'gen_ai.operation.name': operation,
      'gen_ai.agent.id': agent.id,
      'theazo.agent.id': agent.id,
      'theazo.task.id': taskId,
    }
  }

  #modelAttributes(): Attributes {
    const { id, origin = { provider: '_OTHER', model: id } } = this.#options.model
    const provider = providerNames[origin.provider] ?? origin.provider
    return { 'gen_ai.request.model': origin.model, 'gen_ai.provider.name': provider }
  }
}

function usageAttributes(inputTokens: number, outputTokens: number, cost: number): Attributes {
  return {
    'gen_ai.usage.input_tokens': inputTokens,
    'gen_ai.usage.output_tokens': outputTokens,
    'theazo.cost.cents': centsOf(cost),
  }
}

/** Without a message: it may quote a prompt or an output. */
function fail(span: Span, type: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

function typeOf(error: unknown): string {
  if (error instanceof ApiError) return error.code
  return error instanceof Error ? error.name : '_OTHER'
}
