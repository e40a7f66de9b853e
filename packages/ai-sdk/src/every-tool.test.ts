// A scripted model calls every tool of the catalog, on each major of the AI SDK.
import { Theazo } from '@theazo/core'
import { toolGroups } from '@theazo/core/tools'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { type ModelMessage, stepCountIs, streamText } from 'ai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sandboxCalls, type ScriptedCall, taskCalls } from '../../../test/src/adapters/scripted-calls.ts'
import { modelThatCalls, textsReceived } from './testing/scripted-model.ts'
import { theazoTools } from './tools.ts'

let local: LocalTheazo
beforeAll(async () => {
  local = await createLocalTheazo()
})
afterAll(() => local[Symbol.asyncDispose]())

/** The texts that the model received for the calls, each in a request of its own. */
async function textsOf(client: Theazo, calls: readonly ScriptedCall[]): Promise<string[]> {
  const tools = theazoTools({ client, userId: 'every tool', groups: 'all' })
  const texts: string[] = []
  for (const { tool, input } of calls) {
    const model = modelThatCalls(tool, input(texts))
    const messages: ModelMessage[] = [{ role: 'user', content: 'go' }]
    await streamText({ model, messages, tools, stopWhen: stepCountIs(2) }).consumeStream()
    texts.push(...textsReceived(model))
  }
  return texts
}

test('each tool works', async () => {
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  const texts = await textsOf(new Theazo(local), sandboxCalls)
  expect(texts).toEqual(sandboxCalls.map(({ text }) => expect.stringMatching(text)))
  const taskTexts = await textsOf(new Theazo({ ...local, apiKey }), taskCalls)
  expect(taskTexts).toEqual(taskCalls.map(({ text }) => expect.stringMatching(text)))
  const called = new Set([...sandboxCalls, ...taskCalls].map(({ tool }) => tool))
  expect(called).toEqual(new Set(Object.values(toolGroups).flatMap((tools) => tools.map(({ name }) => name))))
})
