// One table of expectations for the three ways in which LangChain calls a tool.
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { ToolMessage } from '@langchain/core/messages'
import { type Agent, Theazo, type TheazoError } from '@theazo/core'
import { type AnyTool, toolGroups } from '@theazo/core/tools'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bash, calling, callers, toolGraph } from './graphs.ts'
import { theazoTools } from '@theazo/langchain'

let local: LocalTheazo
let theazo: Theazo
let agent: Agent
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
  agent = await (await theazo.sessions.forUser('callers')).agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())

describe.each(Object.entries(callers))('%s', (_name, call) => {
  const expectations: [string, ReturnType<typeof bash>, Partial<Record<keyof ToolMessage, unknown>>][] = [
    [
      'output is the content, and the artifact has the data',
      bash('echo out; echo err >&2'),
      {
        status: 'success',
        content: 'out\n[stderr]\nerr',
        artifact: expect.objectContaining({ stdout: 'out\n', stderr: 'err\n', exitCode: 0 }),
      },
    ],
    [
      'a non-zero exit is a result',
      bash('exit 3'),
      { status: 'success', content: '[exit code 3]', artifact: expect.objectContaining({ exitCode: 3 }) },
    ],
    [
      'output that is too long is truncated, with a flag in the artifact',
      bash('head -c 40000 /dev/zero | tr "\\0" x'),
      {
        content: expect.stringContaining('[the output is not complete: it was too long]'),
        artifact: expect.objectContaining({ stdoutTruncated: true }),
      },
    ],
    [
      'a changed file is listed',
      bash('echo text > /workspace/note.txt'),
      {
        content: '[files made or changed: /workspace/note.txt (5 bytes)]',
        artifact: expect.objectContaining({
          files: [expect.objectContaining({ path: '/workspace/note.txt', sizeBytes: 5 })],
        }),
      },
    ],
    [
      'an API error is a message with advice',
      { name: 'read_file', args: { path: '/workspace/none.txt' }, id: 'call_1' },
      {
        status: 'error',
        content: expect.stringContaining('Check the path with list_files.'),
        artifact: { error: expect.objectContaining({ code: 'file_not_found', retryable: false }) },
      },
    ],
    [
      'a timeout shows the output so far',
      { name: 'run_code', args: { language: 'bash', code: 'echo begun; sleep 30', timeoutSeconds: 1 }, id: 'call_1' },
      {
        status: 'error',
        content: expect.stringMatching(/^begun\n[^]*Split the work into shorter steps\./),
        artifact: { error: expect.objectContaining({ code: 'timeout' }) },
      },
    ],
  ]
  test.each(expectations)('%s', async (_title, scripted, expected) => {
    const message = await call(theazoTools({ agent, groups: 'all' }), scripted)
    expect(message).toMatchObject({ tool_call_id: 'call_1', name: scripted.name, ...expected })
  })

  test('a prefix is a part of the name, of the advice and of the fault of an input', async () => {
    const tools = theazoTools({ agent, prefix: 'pc_' })
    expect(tools.every(({ name }) => name.startsWith('pc_'))).toBe(true)
    const missing = await call(tools, { name: 'pc_read_file', args: { path: 'none' }, id: 'call_1' })
    expect(missing).toMatchObject({ name: 'pc_read_file', content: expect.stringContaining('with pc_list_files.') })
    const named = await call(tools, { name: 'pc_read_file', args: { path: 'read_file.txt' }, id: 'call_1' })
    expect(named.text).toContain(': read of read_file.txt: ') // not renamed
  })

  test('an invalid input names the field and its values, and no file of the server', async () => {
    const invalid = { name: 'run_code', args: { language: 'ruby', code: '1' }, id: 'call_1' }
    const text = await call(theazoTools({ agent }), invalid).then(
      (message) => message.text,
      (error: Error) => error.message,
    )
    expect(text).toContain("run_code did not run. language must be 'python' or 'typescript' or 'bash', not \"ruby\".")
    expect(text).not.toMatch(/\.[jt]s:\d/)
  })

  test('with onError throw, the error of the API is thrown', async () => {
    const tools = theazoTools({ agent, onError: 'throw', only: ['read_file'] })
    const [tool] = tools
    const failing = tool?.invoke({ name: 'read_file', args: { path: 'none' }, id: 'call_1', type: 'tool_call' })
    await expect(failing).rejects.toMatchObject({
      name: 'FileError',
      code: 'file_not_found',
    } satisfies Partial<TheazoError>)
  })
})

test('a call with a plain input returns text, also for an error of the API', async () => {
  const [tool] = theazoTools({ agent, only: ['read_file'] })
  expect(await tool?.invoke({ path: 'none' })).toMatch(/^FileError \(file_not_found\)/)
})

test('two tasks in one message run one after the other', async () => {
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  const tools = theazoTools({ client: new Theazo({ ...local, apiKey }), userId: 'two tasks', only: ['run_task'] })
  const tasks = ['one', 'two'].map((name) => {
    return { name: 'run_task', args: { task: `theazo:delay=50 theazo:output=${name}` }, id: name }
  })
  const { messages } = await toolGraph(tools).invoke({ messages: [calling(...tasks)] })
  expect(messages.slice(1).map(({ text }) => text)).toEqual([
    expect.stringMatching(/^one/),
    expect.stringMatching(/^two/),
  ])
})

describe('all tools of the catalog through ToolNode', () => {
  const all: readonly AnyTool[] = Object.values(toolGroups).flat()
  const schemas = new Map(all.map((tool) => [tool.name, tool.output]))
  /** Every tool once, in an order in which each finds what it needs. */
  const args: [string, (artifacts: Map<string, { id?: string; taskId?: string; agentId?: string }>) => object][] = [
    ['run_code', () => ({ language: 'python', code: 'print(1)' })],
    ['write_file', () => ({ path: 'a.txt', content: 'one' })],
    ['edit_file', () => ({ path: 'a.txt', oldText: 'one', newText: 'two' })],
    ['read_file', () => ({ path: 'a.txt' })],
    ['list_files', () => ({ path: '.' })],
    ['delete_file', () => ({ path: 'a.txt' })],
    ['get_usage', () => ({})],
    ['get_agent', () => ({})],
    ['pause_agent', () => ({})],
    ['resume_agent', () => ({})],
    ['create_agent', () => ({ name: 'other' })],
    ['list_agents', () => ({})],
    ['terminate_agent', (artifacts) => ({ agentId: artifacts.get('create_agent')?.id })],
  ]
  const taskArgs: typeof args = [
    ['run_task', () => ({ task: 'Say hello.' })],
    ['start_task', () => ({ task: 'Wait. theazo:hang' })],
    ['get_task', (artifacts) => ({ taskId: artifacts.get('start_task')?.taskId })],
    ['cancel_task', (artifacts) => ({ taskId: artifacts.get('start_task')?.taskId })],
  ]

  async function callEach(client: Theazo, steps: typeof args): Promise<void> {
    const graph = toolGraph(theazoTools({ client, userId: 'all tools', groups: 'all' }))
    const artifacts = new Map<string, object>()
    for (const [name, make] of steps) {
      const call = { name, args: { ...make(artifacts) }, id: `call_${name}` }
      const { messages } = await graph.invoke({ messages: [calling(call)] })
      const message = messages.at(-1) as ToolMessage
      expect([name, message.status, message.text]).toEqual([name, 'success', expect.any(String)])
      const parsed = schemas.get(name)?.safeParse(message.artifact)
      expect([name, parsed?.error]).toEqual([name, undefined])
      artifacts.set(name, message.artifact as object)
    }
  }

  test('each artifact has the shape of the catalog', async () => {
    await callEach(theazo, args)
    const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
    await callEach(new Theazo({ ...local, apiKey }), taskArgs)
    expect([...args, ...taskArgs].map(([name]) => name).toSorted()).toEqual([...schemas.keys()].toSorted())
  })
})

test('advice tells the model whether to retry, at a limit of the owner, and for a wrong key', async () => {
  const session = await theazo.sessions.forUser('limited', { limits: { maxAgents: 0 } })
  const wrong = new Theazo({ ...local, apiKey: `th_live_${'x'.repeat(32)}` })
  await using dead = await deadServer()
  const unreachable = new Theazo({ baseUrl: dead.url, apiKey: local.apiKey, maxRetries: 0 })
  const answers = await Promise.all(
    [
      theazoTools({ session }),
      theazoTools({ client: wrong, userId: 'a' }),
      theazoTools({ client: unreachable, userId: 'a' }),
    ].map(async ([tool]) => (await tool?.invoke({ ...bash('echo 1'), type: 'tool_call' })) as ToolMessage),
  )
  expect(answers.map(({ text, artifact }) => [text.split('\n').at(-1), artifact.error.retryable])).toEqual([
    ['A limit set by the owner is reached. Stop using this tool and tell the user.', false],
    ['The API key is wrong: only the owner can fix this. Stop using this tool and tell the user.', false],
    ['You may try once more.', true],
  ])
})

/** A server that closes every connection without an answer. */
async function deadServer(): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request) => request.socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/v1`,
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}
