// The longest execs, over a port, with default client options. The suite moves the server's clock; `pnpm soak
// client/exec-time` waits.
import { ServerTimeoutError, Theazo } from '@theazo/core'
import { listenTheazo } from '@theazo/server'
import { expect, test } from 'vitest'
import { ServerTestClock } from '../support/clock.ts'
import { isSoak } from '../support/soak.ts'

test(
  'an exec that runs too long ends at the time limit of the server, and one of 119 s does not',
  { timeout: 180_000 },
  async () => {
    const clock = isSoak ? undefined : new ServerTestClock()
    await using server = await listenTheazo({ port: 0, clock })
    const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
    const session = await theazo.sessions.forUser('patient')
    await using agent = await session.agents.create()
    const long = agent.exec(
      'bash',
      `touch long; ${isSoak ? 'sleep 119' : 'until [[ -e go ]]; do sleep 0.02; done'}; echo done`,
    )
    const tooLong = agent.exec('bash', 'touch too-long; sleep 300; echo never').catch((error: unknown) => error)
    await agent.exec('bash', 'until [[ -e long && -e too-long ]]; do sleep 0.02; done')
    clock?.jump(119_000)
    if (clock) await agent.exec('bash', 'touch go')
    expect(await long).toMatchObject({ stdout: 'done\n', exitCode: 0 })
    clock?.jump(1_000)
    expect(await tooLong).toMatchObject({ name: 'ServerTimeoutError', code: 'timeout', status: 504 })
    expect(ServerTimeoutError.isInstance(await tooLong)).toBe(true)
    // The sandbox continues.
    expect(await agent.exec('bash', 'echo here')).toMatchObject({ stdout: 'here\n' })
  },
)
