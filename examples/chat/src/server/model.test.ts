import { expect, test } from 'vitest'
import { chooseModel } from './model.ts'

test.each([
  [{}, 'Scripted model'],
  [{ ANTHROPIC_API_KEY: 'a', CHAT_MODEL: '' }, 'Anthropic claude-sonnet-5-5'],
  [{ OPENAI_API_KEY: 'b', CHAT_MODEL: 'gpt-9' }, 'OpenAI gpt-9'],
])('the environment %j chooses the model %s', async (env, name) => {
  expect((await chooseModel(env)).name).toBe(name)
})
