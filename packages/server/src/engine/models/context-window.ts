import type { ModelRequest, PastTask, Step, ToolStep } from '../model.ts'

/** Characters that cost about as many tokens as one image. The size of the image in bytes has no influence. */
const charsPerImage = 6_000
/** Characters of a token, on the low side: code and other languages have fewer than English. */
export const charsPerToken = 3
/** A request over the limit is cut to this share, so that the next steps fit without a new cut. */
const target = 0.6
/** The share of the window that input may fill. The rest is for the answer. */
const limit = 0.8
/** Outputs below this size are not worth a cut. */
const minCutChars = 400
/** The latest results stay: the model works with them. */
const keptResults = 2
/** Outputs are removed in blocks of this many calls, oldest first, so that consecutive requests share a prefix that the provider has cached. */
const block = 8

/** An estimate of the tokens of a request, from its characters. */
export function estimatedTokens(
  request: Pick<ModelRequest, 'instructions' | 'prompt' | 'history' | 'steps' | 'tools'>,
): number {
  const { instructions, prompt, history, steps, tools } = request
  const tasks = [...history, { prompt, steps }].reduce((sum, task) => sum + charsOfTask(task), 0)
  const fixed =
    (instructions ?? '').length +
    JSON.stringify(tools.map(({ inputSchema, description }) => [description, inputSchema])).length
  return Math.ceil((tasks + fixed) / charsPerToken)
}

/**
 * Shortens a request that fills more than {@link limit} of the context window: first the outputs in earlier tasks become
 * notes, then old outputs of this task, then the earliest tasks are removed. The result may still be too long.
 *
 * @param windowTokens the model's context window.
 */
export function fitToWindow(request: ModelRequest, windowTokens: number): ModelRequest {
  let tokens = estimatedTokens(request)
  if (tokens <= windowTokens * limit) return request
  const goal = windowTokens * target
  let [history, steps] = [[...request.history], [...request.steps]]
  for (let index = 0; tokens > goal && index < history.length; index += 1) {
    const task = history[index] as PastTask // in range
    const cut = { ...task, steps: withoutOutputs(task.steps, Infinity) }
    tokens -= (charsOfTask(task) - charsOfTask(cut)) / charsPerToken
    history[index] = cut
  }
  const most = steps.filter(({ kind }) => kind === 'tool').length - keptResults
  for (let count = 0; tokens > goal && count < most;) {
    count = Math.min(count + block, most)
    steps = withoutOutputs(request.steps, count)
    tokens = estimatedTokens({ ...request, history, steps })
  }
  while (tokens > goal && history.length > 0) {
    const [first, ...rest] = history
    tokens -= charsOfTask(first as PastTask) / charsPerToken
    history = rest
  }
  const prompt = history.length < request.history.length ? `${forgotten}\n\n${request.prompt}` : request.prompt
  return { ...request, prompt, history, steps }
}

const forgotten = '[Earlier tasks of this conversation were removed: they did not fit into the context window.]'

/** The steps, without the outputs of the first `count` calls. */
function withoutOutputs(steps: readonly Step[], count: number): Step[] {
  const old = new Set(steps.filter((step) => step.kind === 'tool').slice(0, count))
  return steps.map((step) => (step.kind === 'tool' && old.has(step) ? withoutOutput(step) : step))
}

function withoutOutput(step: ToolStep): ToolStep {
  const chars = charsOfResult(step)
  if (chars < minCutChars) return step
  const { images: _images, ...rest } = step
  return {
    ...rest,
    output: `[This output of ${chars} characters was removed: it did not fit into the context window. Make the call again if you need it.]`,
  }
}

function charsOfTask({ prompt, steps }: PastTask): number {
  return steps.reduce((sum, step) => sum + charsOfStep(step), prompt.length)
}

function charsOfStep(step: Step): number {
  if (step.kind === 'tool') return charsOfResult(step)
  return step.kind === 'model' ? JSON.stringify(step.messages ?? [step.text, step.toolCalls]).length : 0
}

function charsOfResult({ output, images = [] }: ToolStep): number {
  const text = typeof output === 'string' ? output : JSON.stringify(output)
  return text.length + images.length * charsPerImage
}
