import type { LanguageModel, LanguageModelUsage, ModelMessage } from 'ai'
import { ApiError } from '../../errors.ts'
import { abortableSleep } from '../../or-abort.ts'
import type { Model, ModelRequest, ModelStep, ProviderModel, StepSink, ToolCall } from '../model.ts'
import { charsPerToken, estimatedTokens, fitToWindow } from './context-window.ts'
import { messagesOf } from './messages.ts'
import { modelFault, waitBeforeRetry } from './model-faults.ts'
import type { PriceList, StepUsage } from './prices.ts'
import { cacheBreakpoint, toolSet, withCacheBreakpoint } from './sdk-request.ts'
import { systemPrompt } from './system-prompt.ts'
import { newIds, withIds } from './tool-call-ids.ts'

/** A model of the AI SDK, and the facts that the loop needs. */
export interface AiSdkModelOptions {
  /** The id as agents name it. */
  id: string
  origin: ProviderModel
  /** Returns the model. Called at each step: it loads its provider's package the first time. */
  load: () => Promise<Exclude<LanguageModel, string>>
  prices: PriceList
  /** Removed from messages of faults. */
  apiKey?: string | undefined
  /** Tokens of the context window. Default: `prices.contextWindow`, else 128,000. */
  contextWindow?: number | undefined
  /** Why results of tools must not have images; absent if the model accepts them. */
  imagesOff?: string | undefined
  /** How much the model thinks. Default: its provider's own; many then show no thoughts. */
  reasoning?: ReasoningLevel | undefined
  /** True if a request must set a breakpoint for the provider's cache. */
  needsCacheBreakpoint?: boolean | undefined
}

/** The levels of the AI SDK; a provider maps them to its own. */
export const reasoningLevels = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const

/** How much a model thinks. */
export type ReasoningLevel = (typeof reasoningLevels)[number]

const defaultWindow = 128_000
/** An answer that is longer than this does not end. */
const maxStepChars = 4 * 1024 * 1024
/** Attempts at one step. */
const maxAttempts = 5
/** An attempt fails if its stream sends nothing for this long. */
const maxSilenceMs = 300_000

/** Adapts a model of the AI SDK to {@link Model}: fits the request into the context window, retries faults, computes the cost. */
export function aiSdkModel(options: AiSdkModelOptions): Model {
  const { id, origin, prices, imagesOff } = options
  const window = options.contextWindow ?? prices.contextWindow ?? defaultWindow
  return {
    id,
    origin,
    imagesOff,
    estimate(request) {
      const inputTokens = estimatedTokens(fitToWindow(request, window))
      // Input written to the provider's cache costs more than other input.
      const cacheWriteTokens = options.needsCacheBreakpoint ? inputTokens : 0
      return prices.costOf({ inputTokens, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens })
    },
    async step(request, sink, signal) {
      const fittedRequest = fitToWindow(request, window)
      for (let attempt = 1; ; attempt += 1) {
        const attemptAtStep = new Attempt(sink)
        try {
          return await attemptAtStep.run(options, fittedRequest, signal)
        } catch (error) {
          signal.throwIfAborted()
          if (error instanceof SinkError) throw error.cause
          const waitMs = attempt < maxAttempts ? waitBeforeRetry(error, attempt) : undefined
          if (waitMs === undefined) throw modelFault(error, id, options.apiKey)
          await abortableSleep(waitMs, signal)
          if (attemptAtStep.hasSent) await sink.restart()
        }
      }
    },
  }
}

/** One attempt at a step. */
class Attempt {
  readonly #sink: StepSink
  readonly #calls: ToolCall[] = []
  #text = ''
  #thinking = ''
  #chars = 0
  hasSent = false

  constructor(sink: StepSink) {
    this.#sink = sink
  }

  /** @throws the fault of the model, or the signal's reason. */
  async run(
    { load, prices, needsCacheBreakpoint, reasoning }: AiSdkModelOptions,
    request: ModelRequest,
    signal: AbortSignal,
  ): Promise<ModelStep> {
    const { streamText } = await import('ai')
    const silence = new AbortController()
    const breakpoint = needsCacheBreakpoint ? cacheBreakpoint : undefined
    const result = streamText({
      model: await load(),
      instructions: { role: 'system', content: systemPrompt(request), ...breakpoint },
      messages: withCacheBreakpoint(messagesOf(request), breakpoint),
      tools: await toolSet(request),
      ...(reasoning !== undefined && { reasoning }),
      // The steps are stored here: a task must not need what the provider stores.
      providerOptions: { openai: { store: false } },
      maxRetries: 0, // the loop around this retries, also after a stream that was cut
      abortSignal: AbortSignal.any([signal, silence.signal]),
      onError() {}, // thrown below; the default writes it to the console
    })
    let end: StepEnd | undefined
    const timer = setTimeout(() => silence.abort(new IncompleteStreamError()), maxSilenceMs)
    try {
      for await (const part of result.stream) {
        timer.refresh()
        if (part.type === 'text-delta') await this.#write('text', part.text, part.id)
        else if (part.type === 'reasoning-delta') await this.#write('thinking', part.text, part.id)
        else if (part.type === 'tool-input-delta') this.#count(part.delta)
        else if (part.type === 'tool-call') this.#calls.push(callOf(part))
        else if (part.type === 'finish-step') end = part
        else if (part.type === 'error') throw part.error
        else if (part.type === 'abort') throw signal.aborted ? signal.reason : silence.signal.reason
      }
    } finally {
      clearTimeout(timer)
      silence.abort() // ends the request if the loop above has thrown
    }
    assertComplete(end, this.#calls.length > 0)
    const { messages } = await result.response
    return this.#step(request, messages, end.usage, prices)
  }

  async #write(kind: 'text' | 'thinking', text: string, id: string): Promise<void> {
    if (text === '') return
    this.#count(text)
    this.hasSent = true
    if (kind === 'text') this.#text += text
    else this.#thinking += text
    const sent = kind === 'text' ? this.#sink.text(text) : this.#sink.thinking(text, id)
    await sent.catch((cause: unknown) => Promise.reject(new SinkError('a part was not stored', { cause })))
  }

  #count(text: string): void {
    this.#chars += text.length
    if (this.#chars <= maxStepChars) return
    throw new ApiError('provider_error', `The model wrote more than ${maxStepChars} characters in one step.`)
  }

  #step(request: ModelRequest, messages: ModelMessage[], used: LanguageModelUsage, prices: PriceList): ModelStep {
    const usage = usageOf(used, request, this.#chars)
    const names = newIds(this.#calls, request)
    const toolCalls = this.#calls.map((call) => ({ ...call, id: names.get(call.id) ?? call.id }))
    // Messages of other roles are the AI SDK's results of invalid calls. The results of the loop take their place.
    const own = messages.filter(({ role }) => role === 'assistant')
    return {
      kind: 'model',
      ...(this.#thinking !== '' && { thinking: this.#thinking, isThinkingSent: true }),
      toolCalls,
      ...((this.#text !== '' || toolCalls.length === 0) && { text: this.#text }),
      messages: withIds(own, names),
      ...usage,
      cost: prices.costOf(usage),
    }
  }
}

/** The last part of a step. */
interface StepEnd {
  usage: LanguageModelUsage
  finishReason: string
  rawFinishReason: string | undefined
}

/** @throws a fault if the step is not whole: a stream that ends early has no reason for its end. */
function assertComplete(end: StepEnd | undefined, hasCalls: boolean): asserts end is StepEnd {
  if (!end) throw new IncompleteStreamError()
  const { finishReason, rawFinishReason } = end
  if (finishReason === 'stop' || finishReason === 'tool-calls' || (finishReason === 'length' && hasCalls)) return
  const reason = rawFinishReason ?? finishReason
  if (finishReason === 'length') throw new ApiError('provider_error', 'The answer is longer than the model can write.')
  if (finishReason === 'content-filter') {
    throw new ApiError('provider_error', `The provider of the model refused the answer (${reason.slice(0, 100)}).`)
  }
  // Some compatible servers send no known reason with a whole answer.
  if (finishReason === 'other' && rawFinishReason !== undefined && !/interrupt/.test(rawFinishReason)) return
  throw new IncompleteStreamError()
}

/** A part could not be stored: the fault is the server's, not the model's. */
class SinkError extends Error {
  override readonly name = 'SinkError'
}

/** The provider sent nothing for {@link maxSilenceMs}, or its stream ended without a finish reason. */
class IncompleteStreamError extends Error {
  override readonly name = 'IncompleteStreamError'
  override readonly message = 'the stream ended early'
}

interface CallPart {
  toolCallId: string
  toolName: string
  input: unknown
  invalid?: boolean | undefined
  error?: unknown
}

function callOf({ toolCallId: id, toolName: tool, input, invalid, error }: CallPart): ToolCall {
  if (!invalid) return { id, tool, input }
  const isText = typeof input === 'string'
  const why = error instanceof Error ? error.message : String(error)
  const fault = isText ? `The input of ${tool} is not valid JSON. Send one JSON object.` : why
  return { id, tool, input, fault: fault.slice(0, maxFaultChars) }
}

const maxFaultChars = 1_000

/** The usage of a step. If the provider reports none, as some gateways do, it is estimated, so that spend caps hold. */
function usageOf(
  { inputTokens, inputTokenDetails, outputTokens }: LanguageModelUsage,
  request: ModelRequest,
  chars: number,
): StepUsage {
  const input = inputTokens ?? estimatedTokens(request)
  const cacheReadTokens = Math.min(inputTokenDetails.cacheReadTokens ?? 0, input)
  return {
    inputTokens: input,
    outputTokens: outputTokens ?? Math.ceil(chars / charsPerToken),
    cacheReadTokens,
    cacheWriteTokens: Math.min(inputTokenDetails.cacheWriteTokens ?? 0, input - cacheReadTokens),
  }
}
