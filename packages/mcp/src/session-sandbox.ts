import type { Agent, Theazo } from '@theazo/core'

/** The one sandbox of an MCP session. */
export interface SessionSandbox extends AsyncDisposable {
  /** Makes the sandbox at the first call; concurrent calls get the same. After a failure the next call tries again. */
  get(): Promise<Agent>
}

/** @param userId whose Theazo session pays for it. */
export function sessionSandbox(theazo: Theazo, userId: string): SessionSandbox {
  let pending: Promise<Agent> | undefined
  const isClosed = new AbortController()
  return {
    get() {
      pending ??= create(theazo, userId, isClosed.signal).catch((error: unknown) => {
        pending = undefined
        throw error
      })
      return pending
    },
    async [Symbol.asyncDispose]() {
      isClosed.abort(new Error('The MCP session has ended.'))
      const agent = await pending?.catch(() => undefined)
      await agent?.terminate()
    },
  }
}

async function create(theazo: Theazo, userId: string, signal: AbortSignal): Promise<Agent> {
  signal.throwIfAborted()
  const session = await theazo.sessions.forUser(userId, { signal })
  return await session.agents.create()
}
