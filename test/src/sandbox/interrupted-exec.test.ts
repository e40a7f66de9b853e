// The error of an exec that something else ends contains the output so far (contract, exec).
import { Theazo, TheazoError, type Agent } from '@theazo/core'
import { runCode } from '@theazo/core/tools'
import { listenTheazo, type ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { processesOf } from '../support/host-processes.ts'
import { root, startServer } from '../support/server-process.ts'
import { endSandbox, firstProcessesOf, slowBubblewrap } from '../support/slow-bubblewrap.ts'
import { ServerTestClock } from '../support/clock.ts'

let server: ListeningTheazo
let theazo: Theazo
/** Clock of the server: a test decides when deadlines are reached. */
const clock = new ServerTestClock()
beforeAll(async () => {
  server = await listenTheazo({ port: 0, clock })
  theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey, maxRetries: 0 })
})
afterAll(() => server[Symbol.asyncDispose]())

const newAgent = async (): Promise<Agent> => await (await theazo.sessions.create({ userId: 'ended' })).agents.create()

const programs = {
  bash: 'echo Hello; echo odd >&2; touch begun; sleep 60',
  typescript:
    "import { writeFileSync } from 'node:fs'\nconsole.log('Hello'); console.error('odd'); writeFileSync('begun', '')\nsetInterval(() => {}, 1000)",
} as const

/** Runs code, then ends it with `end`. */
async function endedBy(
  agent: Agent,
  lang: keyof typeof programs,
  isStreamed: boolean,
  end: () => unknown,
  code: string = programs[lang],
): Promise<unknown> {
  const options = { timeoutMs: 30_000 }
  const exec = isStreamed
    ? collect(agent.execStream(lang, code, options)).catch((error: unknown) => error)
    : agent.exec(lang, code, options).catch((error: unknown) => error)
  await agent.exec('bash', 'until [[ -e begun ]]; do sleep 0.02; done')
  await end()
  return await exec
}

const output = { stdout: 'Hello\n', stderr: 'odd\n', durationMs: expect.any(Number) }

describe.each([
  ['whole', false],
  ['streamed', true],
])('the error of an exec, returned %s', (_how, isStreamed) => {
  test.each(['bash', 'typescript'] as const)('contains the output until its deadline: %s', async (lang) => {
    await using agent = await newAgent()
    const error = await endedBy(agent, lang, isStreamed, () => clock.jump(30_000))
    expect(error).toMatchObject({ name: 'ServerTimeoutError', status: 504, details: { ...output, durationMs: 30_000 } })
  })

  test.each(['bash', 'typescript'] as const)('contains the output until its agent was terminated: %s', async (lang) => {
    const agent = await newAgent()
    const error = await endedBy(agent, lang, isStreamed, () => agent.terminate())
    expect(error).toMatchObject({ code: 'conflict', details: { ...output, reason: 'interrupted' } })
  })

  test('contains the output until a cap was reached', async () => {
    const session = await theazo.sessions.create({ userId: 'capped', limits: { maxComputeMinutes: 10 } })
    await using agent = await session.agents.create()
    const error = await endedBy(agent, 'bash', isStreamed, () => session.update({ limits: { maxComputeMinutes: 0 } }))
    expect(error).toMatchObject({ code: 'session_limit_exceeded', details: output })
  })

  test.runIf(process.getuid?.() === 0)('contains the output until its sandbox failed', async () => {
    await using agent = await newAgent()
    const uid = Number((await agent.exec('bash', 'id -u')).stdout)
    const error = await endedBy(agent, 'bash', isStreamed, () => {
      for (const pid of firstProcessesOf(uid)) process.kill(Number(pid), 'SIGKILL')
    })
    expect(error).toMatchObject({ code: 'provider_error', details: output })
  })
})

test('long output in an error is cut to its start and its end, at whole characters', async () => {
  await using agent = await newAgent()
  const code = 'echo first; for i in $(seq 60000); do printf é; done; echo last; touch begun; sleep 60'
  const error = await endedBy(agent, 'bash', false, () => clock.jump(30_000), code)
  const stdout = TheazoError.isInstance(error) ? String(error.details?.['stdout']) : ''
  expect(stdout).toMatch(/^first\né+\n\[… \d+ of 120011 bytes cut …\]\né+last\n$/)
  expect(Buffer.byteLength(stdout)).toBeLessThanOrEqual(64 * 1024)
  expect(Buffer.byteLength(stdout)).toBeGreaterThan(60 * 1024)
})

test('the error of code that did not run contains no output', async () => {
  await using agent = await newAgent()
  await agent.pause()
  const error = await agent.exec('bash', 'echo Hello').catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'conflict' })
  expect(TheazoError.isInstance(error) && error.details).toBeUndefined()
})

test('the tool result of code that runs too long contains its output, and no API route', async () => {
  await using agent = await newAgent()
  const running = runCode.run({ language: 'bash', code: programs.bash, timeoutSeconds: 30 }, { sandbox: agent })
  await agent.exec('bash', 'until [[ -e begun ]]; do sleep 0.02; done')
  clock.jump(30_000)
  const result = await running
  expect(result.isError).toBe(true)
  expect(result.text).toMatch(/^Hello\n\[stderr\]\nodd\nServerTimeoutError \(timeout\): The code ran longer than 30 s/)
  expect(result.text).not.toContain('/exec')
})

test.runIf(process.getuid?.() === 0)('the start of a cold sandbox does not count as run time', async () => {
  using bubblewrap = slowBubblewrap()
  const bin = `${root}/packages/server/dist/bin.js`
  await using slow = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--pool', '0', '--json'], {
    PATH: bubblewrap.searchPath,
  })
  const session = await new Theazo({ baseUrl: slow.url, apiKey: slow.apiKey }).sessions.forUser('cold')
  const [cold, warm] = [await session.agents.create(), await session.agents.create()]
  const uid = Number((await cold.exec('bash', 'id -u')).stdout)
  await endSandbox(uid)
  bubblewrap.hold()
  const exec = cold.exec('bash', 'echo in time', { timeoutMs: 500 })
  await expect.poll(() => firstProcessesOf(uid)).toHaveLength(1)
  await warm.exec('bash', 'sleep 1') // longer than the code may take
  bubblewrap.release()
  expect(await exec).toMatchObject({ stdout: 'in time\n' })
  await expect(cold.exec('bash', 'sleep 60', { timeoutMs: 500 })).rejects.toMatchObject({ code: 'timeout' }) // the control
  expect(processesOf(uid).length).toBeGreaterThan(0)
})
