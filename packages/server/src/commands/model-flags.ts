import { reasoningLevels } from '../engine/models/ai-sdk-model.ts'
import type { ModelsOptions } from '../engine/models/model-catalog.ts'
import type { ModelPrice } from '../engine/models/prices.ts'
import type { WebSearchOptions } from '../engine/web/web-search.ts'
import { SetupError } from '../errors.ts'
import { type Flag, type Given, oneOf, wholeNumber } from './flags.ts'

/** Flags of the models, for `serve`. The keys come from the environment only: other users see a command line. */
export const modelFlags = {
  model: {
    value: 'ID',
    env: 'THEAZO_MODEL',
    help: 'model of agents that name none, e.g. claude-sonnet-5-5 (default: none)',
  },
  'model-endpoint': {
    value: 'NAME=URL',
    env: 'THEAZO_MODEL_ENDPOINTS',
    isList: true,
    help: 'an endpoint like OpenAI Chat Completions, e.g. ollama=http://127.0.0.1:11434/v1; its key is in NAME_API_KEY',
  },
  'model-price': {
    value: 'ID=IN/OUT',
    env: 'THEAZO_MODEL_PRICES',
    isList: true,
    help: "dollars for a million tokens, e.g. 'ollama/*=0/0'; required for models without a public price",
  },
  'model-window': {
    value: 'ID=TOKENS',
    env: 'THEAZO_MODEL_WINDOWS',
    isList: true,
    help: "context window of a model, e.g. 'ollama/*=32768' (default: public data, else 128000)",
  },
  'model-reasoning': {
    value: 'LEVEL',
    env: 'THEAZO_MODEL_REASONING',
    help: `how much models think: ${reasoningLevels.join(', ')} (default: of the provider)`,
  },
  'model-margin': {
    value: 'PERCENT',
    env: 'THEAZO_MODEL_MARGIN',
    help: 'added to the price of models (default 0)',
  },
} as const satisfies Record<string, Flag>

/** The help about keys. */
export const modelKeysHelp = `Keys of model providers are read from ANTHROPIC_API_KEY, OPENAI_API_KEY and GOOGLE_GENERATIVE_AI_API_KEY,
other addresses from ANTHROPIC_BASE_URL, OPENAI_BASE_URL and GOOGLE_GENERATIVE_AI_BASE_URL. The tool web_search uses
BRAVE_SEARCH_API_KEY, TAVILY_API_KEY or SEARXNG_URL.`

/** @throws {SetupError} that names the flag, or its variable. */
export function modelsOptionsOf(
  { values, nameOf }: Given<keyof typeof modelFlags>,
  environment: NodeJS.ProcessEnv,
): ModelsOptions {
  const endpoints = entriesOf(nameOf('model-endpoint'), values['model-endpoint'], 'NAME=URL')
  const prices = entriesOf(nameOf('model-price'), values['model-price'], 'ID=IN/OUT')
  const windows = entriesOf(nameOf('model-window'), values['model-window'], 'ID=TOKENS')
  const margin = wholeNumber(nameOf('model-margin'), values['model-margin'], 0, 1_000)
  return {
    anthropic: providerOf('ANTHROPIC', environment),
    openai: providerOf('OPENAI', environment),
    google: providerOf('GOOGLE_GENERATIVE_AI', environment),
    compatible: Object.fromEntries(
      endpoints.map(([name, url]) => [
        name,
        { baseUrl: addressOf(nameOf('model-endpoint'), url), apiKey: environment[keyName(name)] },
      ]),
    ),
    prices: Object.fromEntries(prices.map(([id, text]) => [id, priceOf(nameOf('model-price'), text)])),
    contextWindows: Object.fromEntries(
      windows.map(([id, text]) => [id, wholeNumber(nameOf('model-window'), text, 1_000, 100_000_000) ?? 0]),
    ),
    margin: margin === undefined ? undefined : 1 + margin / 100,
    reasoning: oneOf(nameOf('model-reasoning'), values['model-reasoning'], reasoningLevels),
    default: values.model,
  }
}

/** The search service that the environment configures. */
export function webSearchOf(environment: NodeJS.ProcessEnv): WebSearchOptions {
  return {
    braveApiKey: environment['BRAVE_SEARCH_API_KEY'],
    braveBaseUrl: environment['BRAVE_SEARCH_BASE_URL'],
    tavilyApiKey: environment['TAVILY_API_KEY'],
    tavilyBaseUrl: environment['TAVILY_BASE_URL'],
    searxngUrl: environment['SEARXNG_URL'],
  }
}

function providerOf(name: string, environment: NodeJS.ProcessEnv): ModelsOptions['anthropic'] {
  const apiKey = environment[`${name}_API_KEY`]
  if (apiKey === undefined || apiKey === '') return undefined
  return { apiKey, baseUrl: environment[`${name}_BASE_URL`] || undefined }
}

function keyName(endpoint: string): string {
  return `${endpoint.toUpperCase().replaceAll(/\W/g, '_')}_API_KEY`
}

function entriesOf(name: string, text: string | undefined, form: string): [key: string, value: string][] {
  if (text === undefined || text === '') return []
  return text.split(',').map((entry) => {
    const at = entry.indexOf('=')
    if (at < 1) throw new SetupError(`${name} must be ${form}, not ${entry}`)
    return [entry.slice(0, at), entry.slice(at + 1)]
  })
}

function addressOf(name: string, text: string): string {
  if (/^https?:$/.test(URL.parse(text)?.protocol ?? '')) return text
  throw new SetupError(`${name} must have an http or https address, not ${text}`)
}

function priceOf(name: string, text: string): ModelPrice {
  const [, input, output] = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(text) ?? []
  if (input !== undefined && output !== undefined) return { input: Number(input), output: Number(output) }
  throw new SetupError(`${name} must end in two prices such as 3/15, not ${text}`)
}
