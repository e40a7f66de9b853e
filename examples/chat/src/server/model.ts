import type { LanguageModel } from 'ai'
import { scriptedModel } from './scripted-model.ts'

/** The model of the chat, and its name for display. */
export interface ChosenModel {
  model: LanguageModel
  name: string
}

/** The model of the provider whose API key is set; without a key, a script that understands a few requests. */
export async function chooseModel(env: NodeJS.ProcessEnv): Promise<ChosenModel> {
  const { ANTHROPIC_API_KEY, OPENAI_API_KEY, CHAT_MODEL } = env
  if (ANTHROPIC_API_KEY) {
    const { anthropic } = await import('@ai-sdk/anthropic')
    const id = CHAT_MODEL || 'claude-sonnet-5-5'
    return { model: anthropic(id), name: `Anthropic ${id}` }
  }
  if (OPENAI_API_KEY) {
    const { openai } = await import('@ai-sdk/openai')
    const id = CHAT_MODEL || 'gpt-5-mini'
    return { model: openai(id), name: `OpenAI ${id}` }
  }
  return { model: scriptedModel(), name: 'Scripted model' }
}
