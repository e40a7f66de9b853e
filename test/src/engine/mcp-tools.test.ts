// Tools of MCP servers that the operator configured, in tasks on a live key. The servers and the protocols are real.
import { Theazo, type TheazoOptions, type ToolCallEvent, type ToolResultEvent } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo, type ServerOptions } from '@theazo/server'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { root, startServer } from '../support/server-process.ts'
import { type HttpMcpServer, startHttpMcp } from './http-mcp-server.ts'
import { modelIds, type ScriptedModels, startModels } from './scripted-models.ts'

type Script = Parameters<typeof startModels>[0]

const model = { id: modelIds[0] }
const secrets = ['web-token-1234', 'notes-token-1234', 'dead-token-1234', 'query-token-1234']
const notesPath = fileURLToPath(new URL('../../fixture/mcp-notes.mjs', import.meta.url))

let models: ScriptedModels
let web: HttpMcpServer
let local: LocalTheazo
let theazo: Theazo
let script: Script
let aborted: PromiseWithResolvers<void>
let waiting: PromiseWithResolvers<void>
let running = 0
let mostRunning = 0
const lines: string[] = []

beforeAll(async () => {
  models = await startModels((turn) => script(turn))
  web = await startHttpMcp((server) => {
    server.registerTool(
      'add.two',
      { description: 'Adds two numbers.', inputSchema: { a: z.number(), b: z.number() } },
      ({ a, b }) => ({ content: [{ type: 'text', text: `sum ${a + b}` }] }),
    )
    server.registerTool('plot', {}, () => ({
      content: [
        { type: 'text', text: 'the plot' },
        { type: 'image', data: onePixel, mimeType: 'image/png' },
        { type: 'image', data: 'bm90IGFuIGltYWdl', mimeType: 'image/png' },
        { type: 'resource_link', name: 'data', uri: 'file:///data.csv' },
      ],
    }))
    server.registerTool('fail', {}, () => ({ content: [{ type: 'text', text: 'disk is full' }], isError: true }))
    server.registerTool('long', {}, () => ({ content: [{ type: 'text', text: 'x'.repeat(1_000_000) }] }))
    server.registerTool('wait', {}, async ({ signal }) => {
      signal.addEventListener('abort', () => aborted.resolve())
      waiting.resolve()
      await aborted.promise
      return { content: [] }
    })
    server.registerTool('look', { annotations: { readOnlyHint: true } }, async () => {
      running += 1
      mostRunning = Math.max(mostRunning, running)
      await sleep(50) // both calls of a step are in flight, if they run side by side
      running -= 1
      return { content: [{ type: 'text', text: 'seen' }] }
    })
  })
  local = await createLocalTheazo(options())
  theazo = new Theazo(local)
})

afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await web[Symbol.asyncDispose]()
  await models[Symbol.asyncDispose]()
  expect(lines.length).toBeGreaterThan(0)
  for (const secret of secrets) expect(lines.join('')).not.toContain(secret)
})

function options(): ServerOptions {
  return {
    models: models.options,
    log: { write: (line) => void lines.push(line) },
    mcpServers: {
      web: { url: web.url, headers: { authorization: `Bearer ${secrets[0]}` } },
      notes: { command: process.execPath, args: [notesPath], env: { NOTES_TOKEN: secrets[1] ?? '' } },
      http: { url: web.url },
    },
  }
}

test('a model calls the tools of a remote server; text, images, errors and long outputs arrive', async () => {
  script = inTurn(call('web_add_two', { a: 2, b: 3 }), call('web_plot'), call('web_fail'), call('web_long'))
  const { calls, results, output } = await runTask(['mcp:web'])
  expect(output).toBe('done')
  expect(calls.map(({ tool }) => tool)).toEqual(['web_add_two', 'web_plot', 'web_fail', 'web_long'])
  const [sum, plot, failed, long] = results
  expect(sum).toMatchObject({ output: 'sum 5', isError: false })
  expect(plot?.output).toBe(
    'the plot\n[resource data: file:///data.csv]\n[image not shown: image 2: not a PNG, JPEG, GIF or WebP image]',
  )
  expect(failed).toMatchObject({ output: 'disk is full', isError: true })
  expect(String(long?.output).length).toBeLessThanOrEqual(100_000)
  expect(long?.output).toContain('characters cut')

  const { tools, messages } = lastRequest()
  const add = tools.find(({ name }: { name: string }) => name === 'web_add_two')
  expect(add).toMatchObject({ description: 'Adds two numbers.', input_schema: { required: ['a', 'b'] } })
  expect(JSON.stringify(messages).split(onePixel)).toHaveLength(2)
  expect(tools.map(({ name }: { name: string }) => name)).not.toContain('run_code')
  expect(web.requests.at(-1)?.headers.authorization).toBe(`Bearer ${secrets[0]}`)
})

test('calls of read-only tools run side by side', async () => {
  script = inTurn({ toolCalls: [...call('web_look').toolCalls, ...call('web_look').toolCalls] })
  const { results } = await runTask(['mcp:web'])
  expect(results.map(({ output }) => output)).toEqual(['seen', 'seen'])
  expect(mostRunning).toBe(2)
})

test('a process gets its own variables only, is shared, and is started again after it has ended', async () => {
  const tools = ['mcp:notes', 'run_code']
  script = inTurn(
    call('notes_pid'),
    call('notes_variable', { name: 'NOTES_TOKEN' }),
    call('notes_variable', { name: 'HIDDEN' }),
  )
  process.env['HIDDEN'] = 'of the server'
  const first = await runTask(tools).finally(() => delete process.env['HIDDEN'])
  script = inTurn(call('notes_pid'), call('notes_exit'), call('notes_pid'))
  const second = await runTask(tools)
  expect(first.results.slice(1).map(({ output }) => output)).toEqual([secrets[1], 'not set'])
  const [before, exit, after] = second.results
  expect(before?.output).toBe(first.results[0]?.output)
  expect(exit).toMatchObject({ isError: true, output: expect.stringContaining('The MCP server notes failed') })
  expect(after).toMatchObject({ isError: false, output: expect.stringMatching(/^\d+$/) })
  expect(after?.output).not.toBe(before?.output)
})

test('the process ends with the server', async () => {
  const own = await createLocalTheazo(options())
  script = inTurn(call('notes_pid'))
  const { results } = await runTask(['mcp:notes'], own)
  const pid = Number(results[0]?.output)
  expect(process.kill(pid, 0)).toBe(true)
  await own[Symbol.asyncDispose]()
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

test('a remote server that has restarted gets a new session, and the call is made once', async () => {
  script = inTurn(call('web_add_two', { a: 1, b: 1 }))
  await runTask(['mcp:web'])
  const { sessions } = web
  script = async (turn) => {
    if (turn.results.length === 0) await web.forget()
    return turn.results.length === 0 ? call('web_add_two', { a: 2, b: 2 }) : { content: 'done' }
  }
  const { results } = await runTask(['mcp:web'])
  expect(results).toMatchObject([{ output: 'sum 4', isError: false }])
  expect(web.sessions).toBe(sessions + 1)
})

test('cancelling a task cancels its call in the MCP server', async () => {
  aborted = Promise.withResolvers()
  waiting = Promise.withResolvers()
  script = inTurn(call('web_wait'))
  const session = await theazo.sessions.forUser('cancels')
  await using agent = await session.agents.create({ model, tools: ['mcp:web'] })
  const run = agent.run('go')
  const result = run.result().catch((error: unknown) => error)
  await waiting.promise
  await agent.tasks.cancel(await run.taskId)
  await aborted.promise
  expect(await result).toBeInstanceOf(Error)
})

test('a tool has a name of its own, also if another tool would have the same', async () => {
  script = inTurn(call('http_request_2'))
  await using other = await startHttpMcp((server) => {
    server.registerTool('request', {}, () => ({ content: [{ type: 'text', text: 'of MCP' }] }))
    server.registerTool('x'.repeat(70), {}, () => ({ content: [] }))
  })
  await using own = await createLocalTheazo({ ...options(), mcpServers: { http: { url: other.url } } })
  const { results } = await runTask(['mcp:http', 'http_request'], own)
  expect(results).toMatchObject([{ output: 'of MCP' }])
  const names = lastRequest().tools.map(({ name }: { name: string }) => name)
  expect(names).toEqual(['http_request', 'http_request_2', `http_${'x'.repeat(59)}`])
})

test('an agent has at most 128 tools of all its servers, and its own tools are among them', async () => {
  script = () => ({ content: 'done' })
  await using many = await startHttpMcp((server) => {
    for (let number = 1; number <= 100; number += 1) server.registerTool(`t${number}`, {}, () => ({ content: [] }))
  })
  const mcpServers = { first: { url: many.url }, second: { url: many.url } }
  await using own = await createLocalTheazo({ ...options(), mcpServers })
  await runTask(['mcp:second', 'mcp:first', 'run_code'], own)
  const names = lastRequest().tools.map(({ name }: { name: string }) => name)
  expect(names).toHaveLength(128)
  expect(names.filter((name: string) => name.startsWith('first_'))).toHaveLength(100)
  expect(names).toContain('run_code')
})

test('only an agent with tools in its sandbox is told of a computer', async () => {
  script = () => ({ content: 'done' })
  await runTask(['mcp:web', 'run_code'])
  expect(JSON.stringify(lastRequest().system)).toMatch(/Linux computer.*\/workspace.*run the code.*Nobody answers/)
  await runTask(['mcp:web', 'http_request'])
  const { system } = lastRequest()
  expect(JSON.stringify(system)).toMatch(/You work with your tools.*Nobody answers/)
  expect(JSON.stringify(system)).not.toMatch(/computer|workspace|run the code/)
})

test('approvals of a server apply to each of its tools, and to no other tool', async () => {
  script = inTurn(call('web_add_two', { a: 1, b: 1 }), call('notes_pid'))
  const session = await theazo.sessions.forUser('approves')
  await using agent = await session.agents.create({ model, tools: ['mcp:web', 'mcp:notes'], approvals: ['mcp:web'] })
  const asked: unknown[] = []
  await agent.run('go').forward({ onApproval: ({ tool }) => Boolean(asked.push(tool)) })
  expect(asked).toEqual(['web_add_two'])
})

describe('a server that does not answer', () => {
  test.each([
    ['a command that does not exist', { command: '/nowhere/mcp', env: { TOKEN: 'dead-token-1234' } }, 'ENOENT'],
    ['a process that ends', { command: '/bin/false', args: ['dead-token-1234'] }, 'Connection closed'],
  ])('%s: the task goes on, the model and the log know', async (_, dead, fault) => {
    expect(await faultWithout({ dead })).toContain(fault)
  })

  test('an address without a server', async () => {
    const url = `${await closedAddress()}?key=query-token-1234`
    const fault = await faultWithout({ dead: { url, headers: { 'x-key': 'dead-token-1234' } } })
    expect(fault).toContain('ECONNREFUSED')
  })

  test('a server that refuses the key, and repeats it', async () => {
    const refusing = createServer(({ headers, url }, response) => {
      response.writeHead(403).end(`no: ${headers.authorization} ${url}`)
    })
    refusing.listen(0, '127.0.0.1')
    await once(refusing, 'listening')
    const { port } = refusing.address() as AddressInfo // the server listens
    const url = `http://127.0.0.1:${port}/?key=query-token-1234`
    const fault = await faultWithout({ dead: { url, headers: { authorization: 'Bearer dead-token-1234' } } })
    expect(fault).toContain('no: *** /?key=***')
    refusing.close()
  })

  /** Runs a task without the server's tools. @returns the fault in the log. */
  async function faultWithout(mcpServers: ServerOptions['mcpServers']): Promise<string> {
    await using own = await createLocalTheazo({ ...options(), mcpServers })
    script = () => ({ content: 'done' })
    const { output } = await runTask(['run_code', 'mcp:dead'], own)
    expect(output).toBe('done')
    const { system, tools } = lastRequest()
    expect(JSON.stringify(system)).toContain('You do not have the tools of dead')
    expect(tools.map(({ name }: { name: string }) => name)).toEqual(['run_code'])
    const line = lines.findLast((text) => text.includes('"server":"dead"'))
    const { level, fault } = JSON.parse(line ?? '{}')
    expect(level).toBe(40)
    return fault
  }
})

test('an unknown server is refused when the agent is created, with the known ones', async () => {
  const session = await theazo.sessions.forUser('unknown')
  const refused = session.agents.create({ model, tools: ['mcp:nots'] })
  await expect(refused).rejects.toMatchObject({
    code: 'unprocessable_entity',
    message: expect.stringMatching(/'mcp:nots' is not configured.*'mcp:web', 'mcp:notes', 'mcp:http'.*--mcp-config/),
  })
})

test('agents of test keys may have the same names, and reach no server', async () => {
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'cloud' })
  const { length } = web.requests
  const session = await new Theazo({ ...local, apiKey }).sessions.forUser('mocked')
  await using agent = await session.agents.create({ tools: ['mcp:web'] })
  const results: ToolResultEvent[] = []
  await agent.run('go').forward({ onToolResult: (event) => void results.push(event) })
  expect(results).toMatchObject([{ output: 'Mocked result of mcp:web.' }])
  expect(web.requests).toHaveLength(length)
})

test.each([
  [{ files: {} }, 'mcpServers.files must be { command, args, env } or { url, headers }'],
  [{ files: { command: 'x', url: 'http://127.0.0.1' } }, 'mcpServers.files must be'],
  [{ files: { command: '' } }, 'mcpServers.files.command must not be empty'],
  [{ files: { command: 'x', args: 'secret' } }, 'mcpServers.files.args must be a list of strings'],
  [{ files: { command: 'x', env: { KEY: 1 } } }, 'mcpServers.files.env.KEY must be a string'],
  [{ files: { command: 'x', enw: {} } }, "mcpServers.files has an unknown field 'enw'; did you mean 'env'?"],
  [{ files: { url: 'ftp://secret' } }, 'mcpServers.files.url must be an http or https address'],
  [{ files: { url: 'http://x', headers: { a: 'secret\nb' } } }, 'mcpServers.files.headers must have'],
  [{ '': { command: 'x' } }, 'a name of a server must have 1 to 64 characters'],
])('faulty servers are refused at the start: %j', async (mcpServers, message) => {
  const started = createLocalTheazo({ mcpServers: mcpServers as ServerOptions['mcpServers'] })
  const error: Error = await started.then(
    () => Promise.reject(new Error('it started')),
    (fault) => fault,
  )
  expect(error.name).toBe('SetupError')
  expect(error.message).toContain(message)
  expect(error.message).not.toContain('secret')
})

test('serve reads the file of Claude Desktop, and names the fault of a file without showing its values', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-mcp-'))
  const file = join(folder, 'claude_desktop_config.json')
  const serve = ['packages/server/dist/bin.js', 'serve', '--port', '0', '--json']
  const notes = { command: process.execPath, args: [notesPath], env: { NOTES_TOKEN: 'notes-token-1234' } }
  writeFileSync(file, JSON.stringify({ globalShortcut: '', mcpServers: { notes } }))
  try {
    const server = await startServer(process.execPath, serve, { ...models.environment, THEAZO_MCP_CONFIG: file })
    await using _server = server
    script = inTurn(
      call('notes_variable', { name: 'ANTHROPIC_API_KEY' }),
      call('notes_variable', { name: 'NOTES_TOKEN' }),
    )
    const { results } = await runTask(['mcp:notes'], { baseUrl: server.url, apiKey: server.apiKey })
    expect(results.map(({ output }) => output)).toEqual(['not set', 'notes-token-1234'])
    expect(server.output.err).not.toContain('notes-token-1234')

    for (const [text, says] of [
      ['{ "mcpServers": { "notes": { "command": "notes-token-1234", "url": "" } } }', 'mcpServers.notes must be'],
      ['{ "mcpServers": { "notes": { "url": "notes-token-1234" } } }', 'mcpServers.notes.url must be an http'],
      ['{ "servers": "notes-token-1234" }', 'mcpServers is missing'],
      ['{ notes-token-1234', 'is not valid JSON'],
    ] as const) {
      writeFileSync(file, text)
      const args = [...serve, '--mcp-config', file]
      const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: 30_000 })
      expect([status, stderr]).toEqual([1, expect.stringContaining(`--mcp-config ${file}`)])
      expect(stderr).toContain(says)
      expect(stderr).not.toContain('notes-token-1234')
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

interface Ran {
  calls: ToolCallEvent[]
  results: ToolResultEvent[]
  output: string
}

async function runTask(tools: string[], on: TheazoOptions = local): Promise<Ran> {
  const session = await new Theazo(on).sessions.forUser('tasks')
  await using agent = await session.agents.create({ model, tools })
  const ran: Ran = { calls: [], results: [], output: '' }
  await agent.run('go').forward({
    onToolCall: (event) => void ran.calls.push(event),
    onToolResult: (event) => void ran.results.push(event),
    onOutput: ({ text }) => void (ran.output = text),
  })
  return ran
}

function call(name: string, input: object = {}) {
  return { toolCalls: [{ name, arguments: JSON.stringify(input) }] }
}

/** Makes one of these steps after the other, then answers. */
function inTurn(...steps: ReturnType<typeof call>[]): Script {
  return ({ results }) => {
    const made = steps.findIndex((_, index) => steps.slice(0, index + 1).flatMap(callsOf).length > results.length)
    return steps[made] ?? { content: 'done' }
  }
}

function callsOf({ toolCalls }: ReturnType<typeof call>): unknown[] {
  return toolCalls
}

function lastRequest() {
  return JSON.parse(models.requests.at(-1)?.body ?? '{}')
}

/** An address on which nothing listens. */
async function closedAddress(): Promise<string> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // the server listens
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}/mcp`
}

/** A PNG of one pixel. */
const onePixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=='
