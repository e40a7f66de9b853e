import { type Directives, numberOf, readDirectives } from '../../compute/mock/directives.ts'
import { mockedError } from '../../compute/mock/mocked-error.ts'
import { abortableSleep } from '../../or-abort.ts'
import { microCents } from '../../pricing.ts'
import type { Model, ModelRequest, ModelStep, StepSink } from '../model.ts'

/** Reported usage of one step. Test keys are not billed. */
const stepUsage = { inputTokens: 100, outputTokens: 20, cost: microCents(1) }
const maxToolCalls = 1000
const maxFillerBytes = 4 * 1024 * 1024

/**
 * The model of test keys: it thinks, calls the agent's first tool once, and answers, the same each time. The README (Test
 * keys) lists the directives of a task.
 */
export const scriptedModel: Model = {
  id: 'scripted',
  origin: { provider: 'theazo', model: 'scripted' },

  assertAccepts(prompt) {
    const refusal = readDirectives(prompt).get('refuse')
    if (refusal !== undefined) throw mockedError(refusal)
  },

  async step(request, sink, signal) {
    const directives = readDirectives(request.prompt)
    if (directives.has('hang')) await untilAborted(signal)
    await abortableSleep(numberOf(directives, 'delay') ?? 0, signal)
    const calls = request.steps.filter(({ kind }) => kind === 'tool').length
    const wanted = Math.min(numberOf(directives, 'steps') ?? 1, maxToolCalls)
    if (calls < wanted && request.tools.length > 0) return toolStep(request, directives, calls)
    const failure = directives.get('error')
    if (failure !== undefined) throw mockedError(failure)
    return await answer(request, directives, sink, signal)
  },
}

function toolStep({ taskId, prompt, tools }: ModelRequest, directives: Directives, done: number): ModelStep {
  const tool = tools[0]?.name ?? ''
  const code = directives.has('tool_error') ? '# theazo:error=provider_error' : `print(${done + 1})`
  const input = tool === 'run_code' ? { language: 'python', code } : { query: prompt.slice(0, 200) }
  const id = `call_${taskId.slice('task_'.length)}_${done + 1}`
  return { kind: 'model', thinking: `I use ${tool} for this.`, toolCalls: [{ id, tool, input }], ...stepUsage }
}

async function answer(
  { prompt, steps }: ModelRequest,
  directives: Directives,
  sink: StepSink,
  signal: AbortSignal,
): Promise<ModelStep> {
  const calls = steps.filter(({ kind }) => kind === 'tool').length
  const text =
    filler(directives) ??
    directives.get('output') ??
    `Mocked answer after ${calls} tool calls to: ${prompt.slice(0, 200)}`
  for (const piece of text.match(/\S*\s*/g) ?? []) {
    signal.throwIfAborted()
    if (piece !== '') await sink.text(piece)
  }
  return { kind: 'model', toolCalls: [], text, ...stepUsage, cost: microCents(numberOf(directives, 'cost') ?? 1) }
}

/** An answer of the requested size, in one part. */
function filler(directives: Directives): string | undefined {
  const wanted = numberOf(directives, 'output_bytes')
  return wanted === undefined ? undefined : 'x'.repeat(Math.min(wanted, maxFillerBytes))
}

/** Rejects with the signal's reason. */
async function untilAborted(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted()
  return await new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  )
}
