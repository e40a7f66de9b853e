import type { LanguageModel } from 'ai'
import { unknownModel } from '@theazo/core/tools'
import { ApiError, SetupError } from '../../errors.ts'
import type { Model, ProviderModel } from '../model.ts'
import { aiSdkModel, type ReasoningLevel } from './ai-sdk-model.ts'
import { fixedPrices, type ModelPrice, type PriceList, publicPrices } from './prices.ts'

/** The key and address of one provider. */
export interface ProviderOptions {
  /** Never logged. */
  apiKey?: string | undefined
  /** Default: the provider's own. */
  baseUrl?: string | undefined
}

/** An endpoint that speaks OpenAI's Chat Completions: Ollama, vLLM, LM Studio, a gateway. */
export interface CompatibleProviderOptions extends ProviderOptions {
  baseUrl: string
}

/** A model object of the AI SDK. */
export type AiModel = Exclude<LanguageModel, string>

/** The models of a server. Without any, a run on a live key is refused. */
export interface ModelsOptions {
  anthropic?: ProviderOptions | undefined
  openai?: ProviderOptions | undefined
  google?: ProviderOptions | undefined
  /** Further endpoints, by the name before the slash of a model id: `ollama` for `ollama/llama3.3`. */
  compatible?: Record<string, CompatibleProviderOptions> | undefined
  /** Model objects of the AI SDK, by the id that agents use. Without a known price they cost nothing. */
  custom?: Record<string, AiModel> | undefined
  /** The model of agents that name none. Default: none; a run of such an agent is refused. */
  default?: string | undefined
  /**
   * Prices by model id, in dollars for a million tokens. `ollama/*` stands for all models of a provider. They replace
   * public prices. Required for provider models without a public price, because spend caps need one; 0 is allowed. A custom
   * model without a price costs nothing.
   */
  prices?: Record<string, ModelPrice> | undefined
  /** Tokens of the context window, by model id or `provider/*`. Default: the public data; without data 128,000. */
  contextWindows?: Record<string, number> | undefined
  /** How much the models think. Default: each provider's own; many then show no thoughts. */
  reasoning?: ReasoningLevel | undefined
  /** A factor on all model prices. Default 1. */
  margin?: number | undefined
}

const builtInNames = ['anthropic', 'openai', 'google'] as const
type BuiltIn = (typeof builtInNames)[number]

/** The beginnings of model ids, as in the reference (`claude-3-5-sonnet-20241022`). */
const familyOf: readonly [RegExp, BuiltIn][] = [
  [/^claude/, 'anthropic'],
  [/^(gpt|chatgpt|o\d|codex)/, 'openai'],
  [/^(gemini|gemma)/, 'google'],
]

/** Finds models by their ids. */
export class ModelCatalog {
  readonly #options: ModelsOptions
  readonly #models = new Map<string, Model>()

  /** @throws {SetupError} if an option is invalid, or the default model is not available. */
  constructor(options: ModelsOptions = {}) {
    this.#options = options
    for (const name of Object.keys(options.compatible ?? {})) assertEndpointName(name)
    if (options.margin !== undefined && !(options.margin >= 0)) throw new SetupError('models.margin must be 0 or more')
    for (const [id, price] of Object.entries(options.prices ?? {})) assertPrice(id, price)
    if (options.default !== undefined) {
      const fault = this.faultOf(options.default)
      if (fault !== undefined) throw new SetupError(`models.default: ${options.default} ${fault}`)
    }
  }

  /** Names of the configured providers and custom models, for errors. */
  get configured(): string[] {
    const { custom = {} } = this.#options
    return [...this.#providers().map((name) => `${name}/…`), ...Object.keys(custom)]
  }

  /** The model with this id, or the default model for null. Undefined if this server does not have it. */
  find(id: string | null): Model | undefined {
    const wanted = id ?? this.#options.default
    if (wanted === undefined || this.faultOf(wanted) !== undefined) return undefined
    const known = this.#models.get(wanted)
    if (known) return known
    const model = this.#create(wanted)
    this.#models.set(wanted, model)
    return model
  }

  /** The reason why agents cannot have this model, as the end of a sentence that starts with the id. Undefined if they can. */
  faultOf(id: string): string | undefined {
    const available = this.configured.length > 0 ? `it has ${this.configured.join(', ')}` : 'it has no models'
    if (this.#customModel(id)) return undefined
    const place = placeOf(id)
    if (!place || !this.#providers().includes(place.provider)) return `is not configured on this server; ${available}`
    if (this.#prices(id, place)) return undefined
    return `has no known price; the operator of this server must set one, because spend caps need it`
  }

  #providers(): string[] {
    const { compatible = {} } = this.#options
    const builtIn = builtInNames.filter((name) => this.#options[name]?.apiKey)
    return [...builtIn, ...Object.keys(compatible)]
  }

  #prices(id: string, place: ProviderModel): PriceList | undefined {
    const { prices = {}, margin = 1 } = this.#options
    const known = publicPrices(place.provider, place.model, margin)
    const own = entryOf(prices, id, place)
    return own ? { ...fixedPrices(own, margin), contextWindow: known?.contextWindow } : known
  }

  #customModel(id: string): AiModel | undefined {
    const { custom = {} } = this.#options
    return Object.hasOwn(custom, id) ? custom[id] : undefined
  }

  #create(id: string): Model {
    const custom = this.#customModel(id)
    const { margin = 1 } = this.#options
    if (custom) {
      const place = { provider: custom.provider.split('.')[0] ?? '', model: custom.modelId }
      const prices = this.#prices(id, place) ?? fixedPrices({ input: 0, output: 0 }, margin)
      return aiSdkModel({ id, origin: place, load: async () => custom, prices, ...this.#facts(id, place) })
    }
    const place = placeOf(id)
    const prices = place && this.#prices(id, place)
    if (!place || !prices) throw new ApiError('internal_error', `Model ${id} is not configured.`) // faultOf was asked before
    const { provider, model } = place
    const load = once(async () => await loadModel(provider, model, this.#options))
    const { apiKey } = optionsOf(provider, this.#options)
    return aiSdkModel({ id, origin: place, load, prices, apiKey, ...this.#facts(id, place) })
  }

  #facts(id: string, place: ProviderModel) {
    return {
      ...featuresOf(place),
      contextWindow: entryOf(this.#options.contextWindows, id, place),
      reasoning: this.#options.reasoning,
    }
  }
}

/** Capabilities of a provider's package: images in tool results, and cache breakpoints. */
function featuresOf({ provider }: ProviderModel): { imagesOff: string | undefined; needsCacheBreakpoint: boolean } {
  return { imagesOff: isBuiltIn(provider) ? undefined : unknownModel, needsCacheBreakpoint: provider === 'anthropic' }
}

/** The entry of a model: by its id, by its provider and name, or of all models of the provider. */
function entryOf<Value>(
  entries: Record<string, Value> = {},
  id: string,
  { provider, model }: ProviderModel,
): Value | undefined {
  return [id, `${provider}/${model}`, `${provider}/*`].flatMap((key) =>
    Object.hasOwn(entries, key) ? entries[key] : [],
  )[0]
}

/** @throws {SetupError} for a name that another provider has, or that no model id can begin with. */
function assertEndpointName(name: string): void {
  if (/^[\w.-]+$/.test(name) && !isBuiltIn(name)) return
  throw new SetupError(
    `models.compatible: '${name}' may contain only letters, digits, dots, dashes and underscores, and must not be ${builtInNames.join(', ')}`,
  )
}

function isBuiltIn(name: string): name is BuiltIn {
  return builtInNames.some((builtIn) => builtIn === name)
}

/** The provider of an id: `provider/model`, or a name of which the beginning shows the provider. */
function placeOf(id: string): ProviderModel | undefined {
  const slash = id.indexOf('/')
  if (slash > 0) return { provider: id.slice(0, slash), model: id.slice(slash + 1) }
  const family = familyOf.find(([pattern]) => pattern.test(id))
  return family && { provider: family[1], model: id }
}

function optionsOf(provider: string, options: ModelsOptions): ProviderOptions {
  return (isBuiltIn(provider) ? options[provider] : options.compatible?.[provider]) ?? {}
}

async function loadModel(provider: string, model: string, options: ModelsOptions): Promise<AiModel> {
  const { apiKey, baseUrl: baseURL } = optionsOf(provider, options)
  const settings = { ...(apiKey !== undefined && { apiKey }), ...(baseURL !== undefined && { baseURL }) }
  switch (provider) {
    case 'anthropic':
      return (await import('@ai-sdk/anthropic')).createAnthropic(settings)(model)
    case 'openai':
      return (await import('@ai-sdk/openai')).createOpenAI(settings)(model)
    case 'google':
      return (await import('@ai-sdk/google')).createGoogle(settings)(model)
    default: {
      const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible')
      return createOpenAICompatible({
        name: provider,
        baseURL: baseURL ?? '',
        includeUsage: true,
        ...(apiKey !== undefined && { apiKey }),
      })(model)
    }
  }
}

/** Caches the first result. After a failure, the next call tries again. */
function once<Value>(work: () => Promise<Value>): () => Promise<Value> {
  let pending: Promise<Value> | undefined
  return () => {
    pending ??= work().catch((error: unknown) => {
      pending = undefined
      throw error
    })
    return pending
  }
}

function assertPrice(id: string, price: ModelPrice): void {
  for (const [name, value] of Object.entries(price)) {
    if (value !== undefined && !(typeof value === 'number' && value >= 0 && Number.isFinite(value))) {
      throw new SetupError(`models.prices['${id}'].${name} must be dollars for a million tokens, 0 or more`)
    }
  }
}
