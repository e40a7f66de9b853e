// How each provider's own package sends an image that a tool returned.
import { theazoTools as aiSdkTools } from '@theazo/ai-sdk'
import { type Agent, Theazo } from '@theazo/core'
import { theazoTools as langChainTools } from '@theazo/langchain'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { generateText, isStepCount } from 'ai'
import { createAgent } from 'langchain'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ModelServer, startModelServer } from '../support/model-server.ts'
import { aiSdkModels, langChainModels } from './provider-models.ts'

/** An image of one pixel. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const code = `import base64; open('dot.png', 'wb').write(base64.b64decode('${png.slice(0, 40)}' + '${png.slice(40)}'))`

let server: ModelServer
let local: LocalTheazo
let agent: Agent
beforeAll(async () => {
  server = await startModelServer(() => [{ name: 'run_code', input: { language: 'python', code } }])
  local = await createLocalTheazo()
  agent = await (await new Theazo(local).sessions.forUser('images')).agents.create()
})
afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** The last request to the model, with the tool's result, as JSON. */
const sent = (): string => JSON.stringify(server.requests.at(-1)?.body)

const asAnthropic = JSON.stringify({ type: 'base64', media_type: 'image/png', data: png })
const asResponses = `"image_url":"data:image/png;base64,${png}"`
const asGemini = JSON.stringify({ inlineData: { mimeType: 'image/png', data: png } })

describe('LangChain', () => {
  const run = async (api: string, images?: boolean): Promise<void> => {
    const model = langChainModels(server.url)[api]
    if (!model) expect.fail(api)
    await createAgent({ model, tools: langChainTools({ agent, images }) }).invoke({ messages: 'go' })
    expect(sent()).toContain('/workspace/dot.png')
  }

  test.each([
    ['Anthropic', asAnthropic],
    ['OpenAI Responses', asResponses],
  ])('%s receives it as an image', async (api, image) => {
    await run(api)
    expect(sent()).toContain(image)
    expect(sent()).not.toContain('image not shown')
    await run(api, false)
    expect(sent()).not.toContain(png)
  })

  test.each(['OpenAI Chat Completions', 'Gemini'])('%s receives text that names it', async (api) => {
    await run(api)
    expect(sent()).not.toContain(png)
    expect(sent()).toContain('[image not shown: /workspace/dot.png')
  })
})

describe('AI SDK', () => {
  const run = async (api: string, options: { images?: boolean; isModelGiven?: boolean } = {}): Promise<void> => {
    const { isModelGiven = true, ...rest } = options
    const model = aiSdkModels(server.url)[api]
    if (!model) expect.fail(api)
    const tools = aiSdkTools({ agent, ...(isModelGiven && { model }), ...rest })
    await generateText({ model, prompt: 'go', tools, stopWhen: isStepCount(3) })
    expect(sent()).toContain('/workspace/dot.png')
  }

  test.each([
    ['Anthropic', asAnthropic],
    ['OpenAI Responses', asResponses],
    ['Gemini', asGemini],
  ])('%s receives it as an image', async (api, image) => {
    await run(api)
    expect(sent()).toContain(image)
    await run(api, { images: false })
    expect(sent()).not.toContain(png)
    await run(api, { images: true, isModelGiven: false })
    expect(sent()).toContain(image)
  })

  test.each(['OpenAI Chat Completions', 'an OpenAI compatible API'])('%s receives text that names it', async (api) => {
    for (const isModelGiven of [true, false]) {
      await run(api, { isModelGiven })
      expect(sent()).not.toContain(png)
      expect(sent()).toContain('[image not shown: /workspace/dot.png')
    }
  })
})
