import { Counter, Histogram, type Registry } from 'prom-client'
import { centsOf } from '../pricing.ts'
import type { EndedModelCall, EndedToolCall, EngineObserver } from './telemetry.ts'

/** Maximum different models, and tools, with a label of their own: agents choose the ids of models. */
const maxNames = 100

/** Counts of the calls of live keys, in Prometheus' format. */
export class EngineMetrics implements EngineObserver {
  readonly #modelCalls: Counter<'model' | 'outcome'>
  readonly #tokens: Counter<'model' | 'direction'>
  readonly #cost: Counter<'model'>
  readonly #durations: Histogram<'model'>
  readonly #toolCalls: Counter<'tool' | 'outcome'>
  readonly #models = new BoundedNames(maxNames)
  readonly #tools = new BoundedNames(maxNames)

  constructor(registers: Registry[]) {
    this.#modelCalls = new Counter({
      name: 'theazo_model_calls_total',
      help: 'Ended calls of models by tasks of live keys; a call with its retries counts once.',
      labelNames: ['model', 'outcome'],
      registers,
    })
    this.#tokens = new Counter({
      name: 'theazo_model_tokens_total',
      help: 'Tokens that models have read (input, also from a cache) and written (output).',
      labelNames: ['model', 'direction'],
      registers,
    })
    this.#cost = new Counter({
      name: 'theazo_model_cost_cents_total',
      help: 'Cost of calls of models, in US cents.',
      labelNames: ['model'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'theazo_model_call_duration_seconds',
      help: 'Time from the call of a model to the end of its step, retries included.',
      labelNames: ['model'],
      buckets: [0.25, 1, 2.5, 5, 10, 30, 60, 120, 300],
      registers,
    })
    this.#toolCalls = new Counter({
      name: 'theazo_tool_calls_total',
      help: 'Ended tool calls of tasks of live keys.',
      labelNames: ['tool', 'outcome'],
      registers,
    })
  }

  modelCalled({ model: id, outcome, durationMs, step }: EndedModelCall): void {
    const model = this.#models.bounded(id)
    this.#modelCalls.inc({ model, outcome })
    this.#durations.observe({ model }, durationMs / 1000)
    if (!step) return
    this.#tokens.inc({ model, direction: 'input' }, step.inputTokens)
    this.#tokens.inc({ model, direction: 'output' }, step.outputTokens)
    this.#cost.inc({ model }, centsOf(step.cost))
  }

  toolCalled({ tool, outcome }: EndedToolCall): void {
    this.#toolCalls.inc({ tool: this.#tools.bounded(tool), outcome })
  }
}

/** Names of labels: each label is a series that a Prometheus server stores. */
class BoundedNames {
  readonly #max: number
  readonly #known = new Set<string>()

  constructor(max: number) {
    this.#max = max
  }

  /** The name itself, or `other` if there are too many. */
  bounded(name: string): string {
    if (this.#known.has(name)) return name
    if (this.#known.size >= this.#max) return 'other'
    this.#known.add(name)
    return name
  }
}
