import { join } from 'node:path'
import { inspect } from 'node:util'
import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { type Session, Theazo } from '@theazo/core'
import { type CreateTheazoSandboxOptions, theazoBackend, TheazoSandbox } from '@theazo/langchain/deepagents'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { tool } from '@langchain/core/tools'
import { createDeepAgent, SandboxError } from 'deepagents'
import { z } from 'zod'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const local: LocalTheazo = await createLocalTheazo()
const theazo = new Theazo(local)
const session: Session = await theazo.sessions.forUser('deepagents')
afterAll(() => local[Symbol.asyncDispose]())

// LangChain's own suite for such backends.
const { sandboxStandardTests } = await import(join(root, 'test/fixture/sandbox-standard-tests/src/vitest.ts'))
sandboxStandardTests({
  name: 'TheazoSandbox',
  timeout: 60_000,
  createSandbox: (options?: Pick<CreateTheazoSandboxOptions, 'initialFiles'>) =>
    TheazoSandbox.create({ session, ...options }),
  createUninitializedSandbox: () => new TheazoSandbox({ session }),
  closeSandbox: (sandbox: TheazoSandbox) => sandbox.close(),
  resolvePath: (name: string) => `/workspace/${name}`,
})

describe('beyond the standard tests', () => {
  let sandbox: TheazoSandbox
  beforeAll(async () => {
    sandbox = await TheazoSandbox.create({ session })
  })
  afterAll(() => sandbox.close())

  test('standard output and standard error keep their order', async () => {
    expect(await sandbox.execute('echo a; echo b >&2; echo c; exit 3')).toEqual({
      output: 'a\nb\nc\n',
      exitCode: 3,
      truncated: false,
    })
  })

  test.each([
    ['an empty file', new Uint8Array()],
    ['every byte', Uint8Array.from({ length: 256 }, (_, index) => index)],
    ['10 MB', Uint8Array.from({ length: 10_000_000 }, (_, index) => (index * 31) % 251)],
  ])('a file comes back as it went: %s', async (name, content) => {
    const path = `/workspace/round trip/${name}\n.bin`
    expect(await sandbox.uploadFiles([[path, content]])).toEqual([{ path, error: null }])
    const [file] = await sandbox.downloadFiles([path])
    expect(file?.error).toBeNull()
    expect(Buffer.compare(file?.content ?? new Uint8Array(1), content)).toBe(0)
  })

  test('each file has its own response, in the order of the request', async () => {
    const text = new TextEncoder().encode('x')
    await sandbox.execute('mkdir -p folder; touch closed; chmod 000 closed; echo file > plain')
    expect(
      await sandbox.uploadFiles([
        ['first.txt', text],
        ['folder', text],
        ['plain/below.txt', text],
        ['/etc/passwd', text],
        ['a\0b', text],
        ['last.txt', text],
      ]),
    ).toEqual([
      { path: 'first.txt', error: null },
      { path: 'folder', error: 'is_directory' },
      { path: 'plain/below.txt', error: 'invalid_path' },
      { path: '/etc/passwd', error: 'permission_denied' },
      { path: 'a\0b', error: 'invalid_path' },
      { path: 'last.txt', error: null },
    ])
    const answers = await sandbox.downloadFiles(['none', 'folder', 'closed', 'plain/below.txt', 'first.txt'])
    expect(answers.map(({ error }) => error)).toEqual([
      'file_not_found',
      'is_directory',
      'permission_denied',
      'invalid_path',
      null,
    ])
  })

  test('a command over its time limit returns exit code 124 and its output so far', async () => {
    const short = TheazoSandbox.fromAgent(sandbox.agent, { timeoutMs: 1000 })
    const { output, exitCode } = await short.execute('echo before; sleep 600')
    expect([output.split('\n')[0], exitCode]).toEqual(['before', 124])
    expect((await sandbox.execute('pgrep -c sleep')).output).toBe('0\n')
  })

  test('commands run concurrently', async () => {
    const meet = (mine: string, other: string) =>
      sandbox.execute(`touch ${mine}; until [[ -e ${other} ]]; do sleep 0.01; done; echo ${mine}`)
    const [a, b] = await Promise.all([meet('a', 'b'), meet('b', 'a')])
    expect([a.output, b.output]).toEqual(['a\n', 'b\n'])
  })

  test('an error of the API is returned as output, and not thrown', async () => {
    const own = await TheazoSandbox.create({ session })
    await own.agent.terminate()
    expect(await own.execute('echo hi')).toEqual({
      output: expect.stringContaining('is terminated'),
      exitCode: null,
      truncated: false,
    })
    await expect(own.uploadFiles([['x', new Uint8Array()]])).rejects.toMatchObject({ code: 'FILE_OPERATION_FAILED' })
  })

  test('close terminates the agent that the sandbox created, and no other', async () => {
    const own = await TheazoSandbox.create({ session })
    const again = await TheazoSandbox.fromId(theazo, own.id)
    expect(again.isRunning).toBe(true)
    await again.close()
    const { agent } = own
    expect((await agent.refresh()).data.status).toBe('idle')
    await own.close()
    await own.close()
    expect((await agent.refresh()).data.status).toBe('terminated')
    const refused = await own.execute('echo hi').catch((error: unknown) => error)
    expect(SandboxError.isInstance(refused) && refused.code).toBe('NOT_INITIALIZED')
  })

  test('a second initialize is refused, and a failed start leaves no agent', async () => {
    await expect(sandbox.initialize()).rejects.toMatchObject({ code: 'ALREADY_INITIALIZED' })
    const user = await theazo.sessions.forUser('failed-start')
    const failed = TheazoSandbox.create({ session: user, initialFiles: { '/etc/passwd': 'x' } })
    await expect(failed).rejects.toMatchObject({ code: 'FILE_OPERATION_FAILED' })
    const statuses: unknown[] = []
    for await (const { data } of user.agents.list()) statuses.push(data?.status)
    expect(statuses).toEqual(['terminated'])
  })

  test('a printed sandbox never contains the API key', () => {
    expect(inspect(sandbox, { depth: 20, showHidden: true }) + JSON.stringify(sandbox)).not.toContain(local.apiKey)
  })

  test('a large result of a tool is stored, and the model can read it', async () => {
    const rows = tool(() => `${'row\n'.repeat(50_000)}the last row`, { name: 'rows', schema: z.object({}) })
    const read = { file_path: '/large_tool_results/call_rows.txt', offset: 50_000 }
    const model = fakeModel()
      .respondWithTools([{ name: 'rows', args: {}, id: 'call_rows' }])
      .respondWithTools([{ name: 'read_file', args: read, id: 'call_read' }])
      .respondWithTools([{ name: 'execute', args: { command: 'echo hi' }, id: 'call_execute' }])
      .respond(new AIMessage('done'))
    const assistant = createDeepAgent({ model, tools: [rows], backend: theazoBackend(sandbox) })
    const { messages } = await assistant.invoke({ messages: [new HumanMessage('go')] })
    const results = messages.filter(ToolMessage.isInstance).map(({ text }) => text)
    expect(results[0]).toContain('/large_tool_results/call_rows.txt')
    expect(results[1]).toContain('the last row')
    expect(results[2]).toContain('hi')
  })

  test('an agent has the default idle timeout, or the one of the options', async () => {
    await using own = await TheazoSandbox.create({ session, agent: { idleTimeout: { seconds: 90, action: 'pause' } } })
    expect(own.agent.data?.idleTimeout).toEqual({ seconds: 90, action: 'pause' })
    expect(sandbox.agent.data?.idleTimeout).toEqual({ seconds: 1800, action: 'terminate' })
  })

  test('a deep agent works in it, and an abort ends its command', async () => {
    const call = (name: string, args: object) => ({ name, args: args as Record<string, unknown>, id: `call_${name}` })
    const model = fakeModel()
      .respondWithTools([call('write_file', { file_path: '/workspace/n.py', content: 'print(6 * 7)' })])
      .respondWithTools([call('execute', { command: 'python3 n.py' })])
      .respond(new AIMessage('done'))
    const { messages } = await createDeepAgent({ model, backend: sandbox }).invoke({
      messages: [new HumanMessage('go')],
    })
    expect(messages.findLast(ToolMessage.isInstance)?.text).toContain('42')

    const abort = new AbortController()
    const hanging = fakeModel().respondWithTools([call('execute', { command: 'touch begun; sleep 4321' })])
    const run = createDeepAgent({ model: hanging, backend: sandbox })
      .invoke({ messages: [new HumanMessage('go')] }, { signal: abort.signal })
      .catch((error: unknown) => error)
    await sandbox.execute('until [[ -e begun ]]; do sleep 0.01; done')
    abort.abort(new Error('the user left'))
    expect(await run).toBe(abort.signal.reason)
    await sandbox.execute("while pgrep -f '^sleep 4321$'; do sleep 0.01; done")
  })
})
