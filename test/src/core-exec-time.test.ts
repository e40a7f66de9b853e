// The longest execs, over a port, by a client whose options are the default ones.
import { ServerTimeoutError, Theazo } from '@theazo/core'
import { listenTheazo } from '@theazo/server'
import { expect, test } from 'vitest'

test(
  'an exec of 40 s works, and one of 121 s ends with the server’s own time limit',
  { timeout: 180_000 },
  async () => {
    await using server = await listenTheazo({ port: 0 })
    const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
    const session = await theazo.sessions.forUser('patient')
    await using agent = await session.agents.create()
    const [long, tooLong] = await Promise.all([
      agent.exec('bash', 'sleep 40; echo done'),
      agent.exec('bash', 'sleep 121; echo never').catch((error: unknown) => error),
    ])
    expect(long).toMatchObject({ stdout: 'done\n', exitCode: 0 })
    expect(long.durationMs).toBeGreaterThanOrEqual(40_000)
    expect(tooLong).toMatchObject({ name: 'ServerTimeoutError', code: 'timeout', status: 504 })
    expect(ServerTimeoutError.isInstance(tooLong)).toBe(true)
    // The sandbox is kept.
    expect(await agent.exec('bash', 'echo here')).toMatchObject({ stdout: 'here\n' })
  },
)
