import { UnauthorizedError } from '@theazo/core'
import { createIdleAgent } from '@theazo/core/pool'
import { openProgramClient, type ProgramClient } from './program-client.ts'

/** Settings of {@link runDoctor}. */
export interface DoctorOptions {
  isLocal: boolean
  userId: string
  /** Receives each line of the report. */
  print: (line: string) => void
}

/**
 * Checks what `theazo-mcp` needs: the settings, the Theazo API, and a sandbox that runs code. It stops at the first
 * fault, because the later checks need the earlier ones.
 *
 * @returns true if everything works.
 */
export async function runDoctor({ isLocal, userId, print }: DoctorOptions): Promise<boolean> {
  let opened: ProgramClient | undefined
  /** Returns the client that the check before has opened. */
  const client = (): ProgramClient['client'] => {
    if (!opened) throw new Error('no client')
    return opened.client
  }
  const checks: [string, () => Promise<string>][] = [
    ['Node', async () => process.versions.node],
    [
      isLocal ? 'local server' : 'settings',
      async () => {
        opened = await openProgramClient({ isLocal })
        return isLocal ? 'started' : `${client().baseUrl}, with an API key`
      },
    ],
    [
      'API',
      async () => {
        await client().sessions.list({ limit: 1 }).page()
        return 'the key is accepted'
      },
    ],
    ['sandbox', async () => await tryCode(client(), userId)],
  ]
  try {
    for (const [name, check] of checks) print(`ok      ${name}: ${await named(name, check)}`)
    return true
  } catch (error) {
    print(`FAILED  ${error instanceof Error ? error.message : String(error)}`)
    return false
  } finally {
    await opened?.local?.[Symbol.asyncDispose]()
  }
}

async function named(name: string, check: () => Promise<string>): Promise<string> {
  try {
    return await check()
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const advice = UnauthorizedError.isInstance(cause) ? ' Check THEAZO_API_KEY and THEAZO_BASE_URL.' : ''
    throw new Error(`${name}: ${message}${advice}`, { cause })
  }
}

async function tryCode(client: ProgramClient['client'], userId: string): Promise<string> {
  const session = await client.sessions.forUser(userId)
  await using agent = await createIdleAgent(session.agents, {}, { seconds: 60, action: 'terminate' })
  const { stdout, exitCode } = await agent.exec('python', 'print(6 * 7)')
  if (stdout !== '42\n')
    throw new Error(`Python printed ${JSON.stringify(stdout.slice(0, 200))}, exit code ${exitCode}.`)
  return 'Python runs in it'
}
