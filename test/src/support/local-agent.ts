import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo, type ServerOptions } from '@theazo/server'
import { afterAll, beforeAll } from 'vitest'

/**
 * Opens an agent on its own server in this process, before the tests of the file or of the surrounding `describe`. The
 * server is closed after them.
 *
 * @param assign receives the agent before the first test.
 */
export function withLocalAgent(assign: (agent: Agent) => void, options: ServerOptions = {}): void {
  let local: LocalTheazo
  beforeAll(async () => {
    local = await createLocalTheazo(options)
    const session = await new Theazo(local).sessions.forUser('user_1')
    assign(await session.agents.create())
  })
  afterAll(() => local[Symbol.asyncDispose]())
}
