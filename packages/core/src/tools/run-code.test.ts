import { expect, test } from 'vitest'
import { SessionLimitExceededError, TimeoutError } from '../errors.ts'
import type { ExecResult } from '../wire.ts'
import { runCode } from './run-code.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** A sandbox whose `exec` is this function. The tests in `test/` use real sandboxes. */
function sandboxWithExec(exec: ToolSandbox['exec']): ToolSandbox {
  return { id: 'agt_1', exec }
}

const plain: ExecResult = { stdout: '', stderr: '', exitCode: 0, durationMs: 1 }
const run = (result: Partial<ExecResult>) =>
  runCode.run({ language: 'bash', code: '' }, { sandbox: sandboxWithExec(async () => ({ ...plain, ...result })) })

test('an invalid input is a result that names the field, and nothing runs', async () => {
  const sandbox = sandboxWithExec(() => expect.fail('it ran'))
  const input = { language: 'cobol', code: '1' } as never // an untyped caller may send this
  const result = await runCode.run(input, { sandbox })
  expect(result).toMatchObject({ isError: true, error: { code: 'tool_input' } })
  expect(result.text).toContain('language must be')
})

test('a notice about a lost sandbox appears once, in the text and in the data', async () => {
  const notices = ['Files are lost.']
  const sandbox: ToolSandbox = { ...sandboxWithExec(async () => plain), takeNotice: () => notices.pop() }
  const call = { language: 'bash', code: '' } as const
  const first = await runCode.run(call, { sandbox })
  expect(first).toMatchObject({ text: '[Files are lost.]\n(no output)', data: { notice: 'Files are lost.' } })
  if (!first.isError) expect(runCode.toText(first.data)).toBe(first.text)
  expect((await runCode.run(call, { sandbox })).text).toBe('(no output)')
})

test('the text of plain output is the output itself', async () => {
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

test.each([{}, { stdout: '\n' }, { stdout: ' \t', stderr: '\n' }, { stdout: '\u200b' }])(
  'the text of a result without a visible character is "(no output)": %j',
  async (result) => expect((await run(result)).text).toBe('(no output)'),
)

test('the text reports an incomplete stream', async () => {
  expect((await run({ stdout: 'x', stdoutTruncated: true })).text).toContain('not complete')
})

test('text and data are well-formed Unicode without NUL', async () => {
  const result = await run({ stdout: 'a\0b\ud83d', files: [{ path: '/workspace/\udc80', sizeBytes: 1 }] })
  if (result.isError) expect.fail(result.text)
  expect(result.data).toMatchObject({ stdout: 'a␀b\ufffd', files: [{ path: '/workspace/\ufffd' }] })
  expect(result.text).toBe('a␀b\ufffd\n[files made or changed: /workspace/\ufffd (1 bytes)]')
})

test('each long stream is cut in the middle, to 30,000 characters', async () => {
  const result = await run({ stdout: `head${'x'.repeat(200_000)}tail` })
  if (result.isError) expect.fail(result.text)
  const { stdout, stdoutTruncated } = result.data
  expect([stdout.length <= 30_000, stdout.slice(0, 5), stdout.slice(-5)]).toEqual([true, 'headx', 'xtail'])
  expect(/\[… 170\d\d\d of 200008 characters cut …\]/.test(stdout)).toBe(true)
  expect(stdoutTruncated).toBe(true)
  expect(result.text.startsWith(stdout)).toBe(true)
})

test('the timeout that the model requests becomes the deadline of the exec, up to the limit of the server', async () => {
  const timeouts: unknown[] = []
  const sandbox = sandboxWithExec(async (_lang, _code, options) => {
    timeouts.push(options?.timeoutMs)
    return plain
  })
  for (const timeoutSeconds of [undefined, 5, 120, 100_000, -3]) {
    await runCode.run({ language: 'bash', code: '', timeoutSeconds }, { sandbox })
  }
  // Undefined means the client's default: the server's 120 s and a margin for its response.
  expect(timeouts).toEqual([undefined, 5000, undefined, undefined, undefined])
})

test('an error of the API is a result with advice', async () => {
  const error = new SessionLimitExceededError('maxCost of 500 cents is reached.', {
    code: 'session_limit_exceeded',
    status: 402,
  })
  const result = await runCode.run(
    { language: 'bash', code: '' },
    { sandbox: sandboxWithExec(() => Promise.reject(error)) },
  )
  expect(result).toMatchObject({ isError: true, error })
  expect(result.text).toMatch(/maxCost of 500 cents is reached.*Stop using this tool/s)
})

test('a function that returns the sandbox is called for each tool call, and an error of the API in it is a result too', async () => {
  const error = new TimeoutError('no answer', { code: 'client_timeout' })
  const result = await runCode.run({ language: 'bash', code: '' }, { sandbox: () => Promise.reject(error) })
  expect(result).toMatchObject({ isError: true, error })
})

test('an abort and a programming error are thrown, and not shown to the model', async () => {
  const bug = new RangeError('a bug')
  const call = { language: 'bash', code: '' } as const
  await expect(runCode.run(call, { sandbox: sandboxWithExec(() => Promise.reject(bug)) })).rejects.toBe(bug)

  const reason = new Error('stopped')
  let calls = 0
  const sandbox = sandboxWithExec(async () => {
    calls += 1
    return plain
  })
  await expect(runCode.run(call, { sandbox, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect(calls).toBe(0)
})
