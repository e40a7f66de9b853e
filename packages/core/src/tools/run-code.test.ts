import { expect, test } from 'vitest'
import { SessionLimitExceededError, TimeoutError } from '../errors.ts'
import type { ExecResult } from '../wire.ts'
import { runCode } from './run-code.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** The interface that a tool works on, answering with this. What real sandboxes do is tested where packages meet. */
function sandboxThat(exec: ToolSandbox['exec']): ToolSandbox {
  return { id: 'agt_1', exec }
}

const plain: ExecResult = { stdout: '', stderr: '', exitCode: 0, durationMs: 1 }
const run = (result: Partial<ExecResult>) =>
  runCode.run({ language: 'bash', code: '' }, { sandbox: sandboxThat(async () => ({ ...plain, ...result })) })

test('plain output is the text as it is', async () => {
  expect(await run({ stdout: '4\n' })).toEqual({
    isError: false,
    text: '4',
    images: [],
    data: { agentId: 'agt_1', stdout: '4\n', stderr: '', exitCode: 0, durationMs: 1 },
  })
})

test('a failing program is a result that shows stderr and the exit code', async () => {
  expect(await run({ stdout: 'a\n', stderr: 'b\n', exitCode: 3 })).toMatchObject({
    isError: false,
    text: 'a\n[stderr]\nb\n[exit code 3]',
  })
})

test('silence is said, and so is what a cap took away', async () => {
  expect((await run({})).text).toBe('(no output)')
  expect((await run({ stdout: 'x', stdoutTruncated: true })).text).toContain('not complete')
})

test('long output is cut to its head and tail at 30,000 characters a stream', async () => {
  const result = await run({ stdout: `head${'x'.repeat(200_000)}tail` })
  if (result.isError) expect.fail(result.text)
  const { stdout, stdoutTruncated } = result.data
  expect([stdout.length < 30_100, stdout.slice(0, 5), stdout.slice(-5)]).toEqual([true, 'headx', 'xtail'])
  expect(/\[… 170008 of 200008 characters cut …\]/.test(stdout)).toBe(true)
  expect(stdoutTruncated).toBe(true)
  expect(result.text.startsWith(stdout)).toBe(true)
})

test('a time the model asks for becomes the deadline, clamped to the server limit', async () => {
  const asked: unknown[] = []
  const sandbox = sandboxThat(async (_lang, _code, options) => {
    asked.push(options?.timeoutMs)
    return plain
  })
  for (const timeoutSeconds of [undefined, 5, 120, 100_000, -3]) {
    await runCode.run({ language: 'bash', code: '', timeoutSeconds }, { sandbox })
  }
  // Without one the client's default stands: the server's 120 s and a margin for its answer.
  expect(asked).toEqual([undefined, 5000, undefined, undefined, 1000])
})

test('a fault of the API is a result that tells the model what to do', async () => {
  const error = new SessionLimitExceededError('maxCost of 500 cents is reached.', {
    code: 'session_limit_exceeded',
    status: 402,
  })
  const result = await runCode.run(
    { language: 'bash', code: '' },
    { sandbox: sandboxThat(() => Promise.reject(error)) },
  )
  expect(result).toMatchObject({ isError: true, error })
  expect(result.text).toMatch(/maxCost of 500 cents is reached.*Stop using this tool/s)
})

test('the sandbox is asked for at the call, and a failure to get it is a result too', async () => {
  const error = new TimeoutError('no answer', { code: 'client_timeout' })
  const result = await runCode.run({ language: 'bash', code: '' }, { sandbox: () => Promise.reject(error) })
  expect(result).toMatchObject({ isError: true, error })
})

test('an abort and a fault of our own are thrown, not told to the model', async () => {
  const bug = new RangeError('a bug')
  const call = { language: 'bash', code: '' } as const
  await expect(runCode.run(call, { sandbox: sandboxThat(() => Promise.reject(bug)) })).rejects.toBe(bug)

  const reason = new Error('stopped')
  let calls = 0
  const sandbox = sandboxThat(async () => {
    calls += 1
    return plain
  })
  await expect(runCode.run(call, { sandbox, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect(calls).toBe(0)
})
