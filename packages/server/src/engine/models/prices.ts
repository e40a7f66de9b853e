import { calcPrice, type Usage } from '@pydantic/genai-prices'
import { microCents } from '../../pricing.ts'

/** Dollars for a million tokens. Cache prices default to the input price. */
export interface ModelPrice {
  input: number
  output: number
  cacheRead?: number | undefined
  cacheWrite?: number | undefined
}

/** Tokens of one step, as the provider counts them. Cache tokens are a part of the input. */
export interface StepUsage {
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
}

/** The price of one model. */
export interface PriceList {
  /** Micro-cents of one step. */
  costOf: (usage: StepUsage) => number
  /** Tokens of the model's context window, if it is known. */
  contextWindow?: number | undefined
}

const centsPerDollar = 100
const million = 1_000_000

/** Prices that an operator has set. */
export function fixedPrices(
  { input, output, cacheRead = input, cacheWrite = input }: ModelPrice,
  margin: number,
): PriceList {
  return {
    costOf({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }) {
      const plain = inputTokens - cacheReadTokens - cacheWriteTokens
      const dollars =
        (plain * input + cacheReadTokens * cacheRead + cacheWriteTokens * cacheWrite + outputTokens * output) / million
      return inMicroCents(dollars, margin)
    },
  }
}

/**
 * Public prices of a provider's model, from `@pydantic/genai-prices`. Undefined if they are not known.
 *
 * @param margin a factor: 1.2 adds 20 %.
 */
export function publicPrices(providerId: string, modelId: string, margin: number): PriceList | undefined {
  const one = calcPrice({ input_tokens: 1, output_tokens: 1 }, modelId, { providerId })
  if (!one) return undefined
  return {
    contextWindow: one.model.context_window,
    costOf({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }) {
      const usage: Usage = {
        input_tokens: inputTokens,
        output_tokens: outputTokens,
        cache_read_tokens: cacheReadTokens,
        cache_write_tokens: cacheWriteTokens,
      }
      const price = calcPrice(usage, modelId, { providerId })
      return inMicroCents(price?.total_price ?? 0, margin)
    },
  }
}

/** Rounds up: a step that costs something never costs nothing. */
function inMicroCents(dollars: number, margin: number): number {
  return Math.ceil(microCents(dollars * centsPerDollar * margin) - rounding)
}

/** Sums of binary fractions are inexact in their last digits. */
const rounding = 1e-6
