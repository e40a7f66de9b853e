import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatAnthropic } from '@langchain/anthropic'
import type { BaseChatModel } from '@langchain/core/language_models/chat_models'
import { ChatGoogleGenerativeAI } from '@langchain/google-genai'
import { ChatOpenAI } from '@langchain/openai'
import type { LanguageModel } from 'ai'

const apiKey = 'a-key'
const [gpt, claude, gemini] = ['gpt-5-mini', 'claude-sonnet-5-5', 'gemini-3-pro']

/** LangChain's models by name of their API, for a server at this URL. */
export function langChainModels(url: string): Record<string, BaseChatModel> {
  const openAi = { model: gpt, apiKey, maxRetries: 0, configuration: { baseURL: `${url}/v1` } }
  return {
    'OpenAI Chat Completions': new ChatOpenAI({ ...openAi, useResponsesApi: false }),
    'OpenAI Responses': new ChatOpenAI({ ...openAi, useResponsesApi: true }),
    Anthropic: new ChatAnthropic({ model: claude, apiKey, maxRetries: 0, anthropicApiUrl: url }),
    Gemini: new ChatGoogleGenerativeAI({ model: gemini, apiKey, maxRetries: 0, baseUrl: url }),
  }
}

/** The AI SDK's models by name of their API. */
export function aiSdkModels(url: string): Record<string, LanguageModel> {
  const openAi = createOpenAI({ apiKey, baseURL: `${url}/v1` })
  return {
    'OpenAI Chat Completions': openAi.chat(gpt),
    'OpenAI Responses': openAi.responses(gpt),
    'an OpenAI compatible API': createOpenAICompatible({ name: 'compatible', apiKey, baseURL: `${url}/v1` })(gpt),
    Anthropic: createAnthropic({ apiKey, baseURL: `${url}/v1` })(claude),
    Gemini: createGoogleGenerativeAI({ apiKey, baseURL: `${url}/v1beta` })(gemini),
  }
}
