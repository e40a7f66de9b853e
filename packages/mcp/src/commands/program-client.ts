import { Theazo, TheazoError } from '@theazo/core'
import { openLocalTheazo } from './local-theazo.ts'
import { version } from '../version.ts'

/** The client of the program, and what must be disposed after it. */
export interface ProgramClient {
  client: Theazo
  local: AsyncDisposable | undefined
}

const userAgent = `theazo-mcp/${version}`

/**
 * Creates the client of the program: of a server in this process with --local, else of the Theazo API.
 *
 * @throws {Error} if this machine cannot run sandboxes, or without an API key.
 */
export async function openProgramClient({ isLocal }: { isLocal: boolean }): Promise<ProgramClient> {
  if (!isLocal) return { client: createRemoteClient(), local: undefined }
  const local = await openLocalTheazo()
  return { client: new Theazo({ ...local, userAgent }), local }
}

/** The client of a user's own API key. */
export function clientOfKey(apiKey: string): Theazo {
  return new Theazo({ apiKey, userAgent })
}

function createRemoteClient(): Theazo {
  try {
    return new Theazo({ userAgent })
  } catch (error) {
    if (!TheazoError.isInstance(error)) throw error
    throw new Error(`${error.message.replace(/\.?$/, '.')} Or start theazo-mcp with --local, which needs no account.`, {
      cause: error,
    })
  }
}
