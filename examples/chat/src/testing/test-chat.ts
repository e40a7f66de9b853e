import { fileURLToPath } from 'node:url'
import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import type { LanguageModel } from 'ai'
import { type ListeningChat, listenChat } from '../server/listen.ts'
import { scriptedModel } from '../server/scripted-model.ts'

/** The chat on a free port, on its own embedded server with real sandboxes. */
export interface TestChat extends ListeningChat {
  theazo: Theazo
  /** The sandbox of a chat. */
  sandboxOf(chatId: string): Promise<Agent>
  /** Lets time pass on the clock by which the server charges. */
  pass(ms: number): void
}

export interface TestChatOptions {
  model?: LanguageModel
  capCents?: number
}

export async function startTestChat({ model, capCents = 200 }: TestChatOptions = {}): Promise<TestChat> {
  let passedMs = 0
  const local = await createLocalTheazo({
    clock: {
      now: () => Date.now() + passedMs,
      monotonic: () => performance.now() + passedMs,
      after(ms, run) {
        const timer = setTimeout(run, ms).unref()
        return () => clearTimeout(timer)
      },
    },
  })
  const theazo = new Theazo(local)
  const clientFolder = fileURLToPath(new URL('../../dist', import.meta.url))
  const options = { theazo, model: model ?? scriptedModel(), modelName: 'Scripted model', capCents, clientFolder }
  const chat = await listenChat(options, 0)
  return {
    url: chat.url,
    theazo,
    pass(ms) {
      passedMs += ms
    },
    async sandboxOf(chatId) {
      for await (const session of theazo.sessions.list()) {
        for await (const agent of session.agents.list()) if (agent.data.name === chatId) return agent
      }
      throw new Error(`chat ${chatId} has no sandbox`)
    },
    async [Symbol.asyncDispose]() {
      await chat[Symbol.asyncDispose]()
      await local[Symbol.asyncDispose]()
    },
  }
}
