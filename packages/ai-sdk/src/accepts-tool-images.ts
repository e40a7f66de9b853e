import type { LanguageModel } from 'ai'

/** Providers whose packages send an image in a tool result as an image. Packages for Chat Completions APIs send text. */
const providers = /^(anthropic\b|vertex\.anthropic|google\.|amazon-bedrock|(openai|azure)\.responses$)/
/** The same providers behind a gateway, which names models `provider/model`. */
const gatewayModels = /^(anthropic|openai|google|vertex|bedrock)\//

/**
 * True if the model's provider accepts images in tool results. The model itself is not known: pass `images: false` for a
 * model without vision.
 */
export function acceptsToolImages(model: LanguageModel): boolean {
  if (typeof model === 'string') return gatewayModels.test(model)
  return providers.test(model.provider) || (/^gateway\b/.test(model.provider) && gatewayModels.test(model.modelId))
}
