import { type Attributes, type Span, trace } from '@opentelemetry/api'
import { TheazoError } from '@theazo/core'
import type { Telemetry } from 'ai'

/** A tool call that has ended. */
export interface TheazoToolSpan {
  toolName: string
  toolCallId: string
  /**
   * Those that are known: `theazo.agent.id`, `theazo.task.id`, `theazo.exit_code`, `theazo.duration_ms`,
   * `theazo.cost.cents`, `theazo.input_tokens`, `theazo.output_tokens`; of an error `theazo.error.code` and
   * `theazo.request.id`.
   */
  attributes: Attributes
}

/** The hooks of the integration. */
export type TheazoTelemetry = Required<Pick<Telemetry, 'executeTool' | 'onToolExecutionEnd'>>

/**
 * Adds the exit code and the ids of Theazo's tool calls, and the cost of `run_task`, to the span of each call. A task that
 * the model polls with `get_task` has no cost here, because each poll would count it again.
 *
 * Register it before the integration that makes the spans: hooks run in that order, and a span that has ended takes no
 * attributes.
 *
 * @param onToolCall called with the attributes of each call, e.g. to add up the costs of tasks. The AI SDK ignores an error
 *   of it.
 * @example
 * ```ts
 * import { theazoTelemetry } from '@theazo/ai-sdk/telemetry'
 * import { registerTelemetry } from 'ai'
 *
 * let cents = 0
 * registerTelemetry(
 *   theazoTelemetry(({ attributes }) => {
 *     cents += Number(attributes['theazo.cost.cents'] ?? 0)
 *   }),
 * )
 * // registerTelemetry(new OpenTelemetry()) of @ai-sdk/otel comes next
 * ```
 */
export function theazoTelemetry(onToolCall?: (call: TheazoToolSpan) => unknown): TheazoTelemetry {
  /** The spans of the calls that run, by the ids of the generation and of the call. */
  const spans = new Map<string, Span>()
  return {
    async executeTool({ callId, toolCallId, execute }) {
      const span = trace.getActiveSpan()
      if (span) spans.set(`${callId} ${toolCallId}`, span)
      return await execute()
    },
    async onToolExecutionEnd({ callId, toolCall, toolOutput }) {
      const { toolCallId, toolName } = toolCall
      const key = `${callId} ${toolCallId}`
      const span = spans.get(key)
      spans.delete(key)
      const attributes = attributesOf(toolOutput.type === 'tool-error' ? toolOutput.error : toolOutput.output)
      if (Object.keys(attributes).length === 0) return // not a tool of Theazo
      span?.setAttributes(attributes)
      await onToolCall?.({ toolName, toolCallId, attributes })
    },
  }
}

/** The attributes of a tool's output or error; none if it is not one of ours. */
function attributesOf(outcome: unknown): Attributes {
  if (TheazoError.isInstance(outcome)) {
    return known({ 'theazo.error.code': outcome.code, 'theazo.request.id': outcome.requestId })
  }
  if (typeof outcome !== 'object' || outcome === null) return {}
  const data = outcome as Record<string, unknown> // each field is checked below
  const { agentId, taskId, id, exitCode, durationMs, cost, usage } = data
  const { amount } = (cost ?? {}) as { amount?: unknown }
  const { inputTokens, outputTokens } = (usage ?? {}) as { inputTokens?: unknown; outputTokens?: unknown }
  if (agentId === undefined) return {}
  const ofTask = {
    'theazo.cost.cents': amount,
    'theazo.input_tokens': inputTokens,
    'theazo.output_tokens': outputTokens,
  }
  return known({
    'theazo.agent.id': agentId,
    'theazo.task.id': taskId ?? id, // the data of get_task is the task itself, with an id
    'theazo.exit_code': exitCode,
    'theazo.duration_ms': durationMs,
    ...(taskId !== undefined && ofTask), // run_task: it ends once, but get_task may be called any number of times
  })
}

/** Without the values that are neither text nor a number. */
function known(values: Record<string, unknown>): Attributes {
  const entries = Object.entries(values).filter(([, value]) => typeof value === 'string' || typeof value === 'number')
  return Object.fromEntries(entries) as Attributes // filtered on the line above
}
