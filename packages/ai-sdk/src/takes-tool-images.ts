import type { LanguageModel } from 'ai'

/** Providers whose packages send an image in a tool's result as an image. Chat Completions APIs get it as text. */
const providers = /^(anthropic\b|vertex\.anthropic|google\.|amazon-bedrock|(openai|azure)\.responses$)/
/** The same behind a gateway, which names models `provider/model`. */
const gatewayModels = /^(anthropic|openai|google|vertex|bedrock)\//

/** True if the model is known to take images in the result of a tool. */
export function takesToolImages(model: LanguageModel): boolean {
  if (typeof model === 'string') return gatewayModels.test(model)
  return providers.test(model.provider) || (/^gateway\b/.test(model.provider) && gatewayModels.test(model.modelId))
}
