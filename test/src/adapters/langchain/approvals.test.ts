// Approvals, and runs that another process resumes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { Command, MemorySaver } from '@langchain/langgraph'
import { Theazo } from '@theazo/core'
import { theazoInterruptOn, theazoTools } from '@theazo/langchain'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { createAgent } from 'langchain'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { approvals, bash, type ScriptedCall } from './graphs.ts'

let server: ListeningTheazo
let client: Theazo
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  client = new Theazo({ baseUrl: `${server.url}`, apiKey: server.apiKey })
})
afterAll(() => server[Symbol.asyncDispose]())

test('tools that may change something need an approval, and others do not', () => {
  const interruptOn = theazoInterruptOn()
  const names = (needed: boolean) => Object.keys(interruptOn).filter((name) => interruptOn[name] === needed)
  expect(names(true)).toEqual([
    'run_code',
    'write_file',
    'edit_file',
    'delete_file',
    'run_task',
    'start_task',
    'cancel_task',
    'terminate_agent',
  ])
  expect(names(false)).toEqual([
    'read_file',
    'list_files',
    'get_task',
    'get_usage',
    'get_agent',
    'pause_agent',
    'resume_agent',
    'create_agent',
    'list_agents',
  ])
  expect(theazoInterruptOn({ groups: ['code'], prefix: 'pc_' })).toEqual({ pc_run_code: true })
})

describe('humanInTheLoopMiddleware', () => {
  /** Runs the calls of one message until the interrupt, then decides. */
  async function decide(userId: string, calls: ScriptedCall[], decisions: object[]): Promise<string[]> {
    const model = fakeModel().respondWithTools(calls).respond(new AIMessage('done'))
    const assistant = createAgent({
      model,
      tools: theazoTools({ client, userId }),
      middleware: [approvals(theazoInterruptOn())],
      checkpointer: new MemorySaver(),
    })
    const config = { configurable: { thread_id: '1' } }
    const paused = await assistant.invoke({ messages: [new HumanMessage('go')] }, config)
    expect(paused.messages.some((message) => ToolMessage.isInstance(message))).toBe(false)
    const { messages } = await assistant.invoke(new Command({ resume: { decisions } }), config)
    return messages.filter((message) => ToolMessage.isInstance(message)).map(({ text }) => text)
  }

  test('an approved call runs once', async () => {
    const texts = await decide('approve', [bash('echo ran >> log; cat log')], [{ type: 'approve' }])
    expect(texts[0]).toMatch(/^ran\n/)
  })

  test('an edited call runs with the edited input', async () => {
    const editedAction = { name: 'run_code', args: { language: 'bash', code: 'echo edited' } }
    expect(await decide('edit', [bash('echo original')], [{ type: 'edit', editedAction }])).toEqual(['edited'])
  })

  test('a rejected call does not run, and the model receives the reason', async () => {
    const texts = await decide('reject', [bash('touch ran')], [{ type: 'reject', message: 'not now' }])
    expect(texts).toEqual([expect.stringContaining('not now')])
    const session = await client.sessions.forUser('reject')
    expect((await session.agents.list().page()).data).toEqual([])
  })
})

describe('a run whose process was killed while it waited for an approval', () => {
  const program = fileURLToPath(new URL('approval-program.ts', import.meta.url))

  /** Runs the program until it has printed its state, and kills it. */
  async function run(checkpoints: string, action: string): Promise<{ pending: string[]; results: string[] }> {
    const env = { ...process.env, THEAZO_API_KEY: server.apiKey, THEAZO_BASE_URL: `${server.url}` }
    const child = spawn(process.execPath, [program, checkpoints, action], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let err = ''
    child.stderr.on('data', (chunk) => (err += chunk))
    const closed = once(child, 'close')
    const line = await Promise.race([
      once(createInterface(child.stdout), 'line').then(([text]) => String(text)),
      closed.then(() => Promise.reject(new Error(err))),
    ])
    child.kill('SIGKILL')
    await closed
    return JSON.parse(line)
  }

  test('continues in another process: with the same files, and nothing runs twice', async () => {
    const checkpoints = join(mkdtempSync(join(tmpdir(), 'theazo-approval-')), 'checkpoints')
    const first = await run(checkpoints, 'start')
    expect(first).toMatchObject({ pending: ['write_file'], results: [expect.stringContaining('log')] })
    const second = await run(checkpoints, 'approve')
    expect(second).toMatchObject({ pending: [], results: [first.results[0], expect.stringContaining('report.txt')] })
    const session = await client.sessions.forUser('approver')
    const [agent, ...others] = (await session.agents.list().page()).data
    expect(others).toEqual([])
    expect(await agent?.files.readText('log')).toBe('ran\n')
    expect(await agent?.files.readText('report.txt')).toBe('approved')
  })
})
