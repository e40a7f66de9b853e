// The MCP server with clients that other people wrote: what their users see of output, failures, images and long runs.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { createMCPClient } from '@ai-sdk/mcp'
import type { ToolMessage } from '@langchain/core/messages'
import { MultiServerMCPClient } from '@langchain/mcp-adapters'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as StreamableHTTPClientTransportV2,
} from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { type Agent, Theazo } from '@theazo/core'
import { listenTheazo, type ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const bin = join(root, 'packages/mcp/dist/bin.js')
let server: ListeningTheazo
let theazo: Theazo
const programs: ChildProcess[] = []
/** The URL of a program that speaks these versions of the protocol. */
const urls = { '2025-11-25': '', '2026-07-28': '' }
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  const { url: baseUrl, apiKey } = server
  theazo = new Theazo({ baseUrl, apiKey })
  const env = { ...process.env, THEAZO_BASE_URL: baseUrl, THEAZO_API_KEY: apiKey }
  for (const protocol of ['2025-11-25', '2026-07-28'] as const) {
    const flags = protocol === '2026-07-28' ? ['--protocol', protocol] : []
    const args = [bin, 'http', '--auth', 'none', '--port', '0', '--answer-within', '10', ...flags]
    const program = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    programs.push(program)
    const [line] = await once(createInterface({ input: program.stdout }), 'line')
    urls[protocol] = String(line)
  }
})
afterAll(async () => {
  const ended = Promise.all(programs.map((program) => once(program, 'exit')))
  for (const program of programs) program.kill('SIGTERM')
  await ended
  await server[Symbol.asyncDispose]()
})

/** What a framework passes on of a result. */
interface Seen {
  text: string
  imageCount: number
}

interface Driver extends AsyncDisposable {
  toolNames: string[]
  call: (name: string, input: object, signal?: AbortSignal) => Promise<Seen>
}

/** A content block of either framework. */
interface Block {
  type: string
  text?: string
}

/** LangChain replaces a lone text block by the JSON of a block that also has the structured content. */
function withoutStructuredContent(content: string): string {
  return content.startsWith('{"type":"text"') ? (JSON.parse(content) as { text: string }).text : content
}

function seenIn(content: string | readonly Block[]): Seen {
  const blocks = typeof content === 'string' ? [{ type: 'text', text: withoutStructuredContent(content) }] : content
  return {
    text: blocks.map(({ type, text = '' }) => (type === 'text' ? text : '')).join(''),
    imageCount: blocks.filter(({ type }) => /^image|^file$|^media$/.test(type)).length,
  }
}

async function langChain(url: string): Promise<Driver> {
  const client = new MultiServerMCPClient({ mcpServers: { theazo: { transport: 'http', url } } })
  const tools = await client.getTools()
  return {
    toolNames: tools.map(({ name }) => name),
    async call(name, args, signal) {
      const tool = tools.find((tool) => tool.name === name)
      const call = { type: 'tool_call', id: 'call_1', name, args } as const
      const message = (await tool?.invoke(call, signal && { signal })) as ToolMessage
      return seenIn(message.content as string | Block[]) // its blocks have a type, and a text if they are text
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

async function aiSdk(url: string): Promise<Driver> {
  const client = await createMCPClient({ transport: { type: 'http', url } })
  const tools = await client.tools()
  return {
    toolNames: Object.keys(tools),
    async call(name, input, abortSignal) {
      const options = { toolCallId: 'call_1', messages: [], context: undefined, ...(abortSignal && { abortSignal }) }
      const result: unknown = await tools[name]?.execute(input, options as never) // its context is of no type here
      return seenIn((result as { content: Block[] }).content)
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

async function sdkV1(url: string): Promise<Driver> {
  const client = new Client({ name: 'test', version: '0' })
  const transport = new StreamableHTTPClientTransport(new URL(url))
  await client.connect(transport as Parameters<Client['connect']>[0]) // its optional fields may be undefined
  return {
    toolNames: (await client.listTools()).tools.map(({ name }) => name),
    async call(name, input, signal) {
      const options = signal && { signal }
      const result = await client.callTool({ name, arguments: { ...input } }, undefined, options)
      return seenIn(result.content as Block[])
    },
    async [Symbol.asyncDispose]() {
      await transport.terminateSession()
      await client.close()
    },
  }
}

/** It finds out which protocol the server speaks. */
async function sdkV2(url: string): Promise<Driver> {
  const client = new ClientV2({ name: 'test', version: '0' }, { versionNegotiation: { mode: 'auto' } })
  await client.connect(new StreamableHTTPClientTransportV2(new URL(url)))
  expect(client.getProtocolEra()).toBe(url === urls['2026-07-28'] ? 'modern' : 'legacy')
  return {
    toolNames: (await client.listTools()).tools.map(({ name }) => name),
    async call(name, input, signal) {
      return seenIn((await client.callTool({ name, arguments: { ...input } }, signal && { signal })).content)
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

/** The sandbox in which a client runs code. */
async function agentOf(bash: (code: string) => Promise<unknown>): Promise<Agent> {
  const marker = `/workspace/${randomUUID()}`
  await bash(`rm -f started; touch ${marker}`)
  const session = await theazo.sessions.forUser('mcp')
  for await (const agent of session.agents.list({ status: 'idle' })) {
    if ((await agent.exec('bash', `ls ${marker}`)).exitCode === 0) return agent
  }
  throw new Error('no sandbox has the marker')
}

/** False also if the sandbox has ended. */
async function isSleeping(agent: Agent): Promise<boolean> {
  if ((await agent.refresh()).data.status === 'terminated') return false
  return (await agent.exec('bash', 'pgrep -x sleep')).exitCode === 0
}

const savePng = `
import struct, zlib
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
open('dot.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 2, 0, 0, 0))
    + chunk(b'IDAT', zlib.compress(b'\\0abc')) + chunk(b'IEND', b''))
print('saved')`

describe.each([
  ['@langchain/mcp-adapters', '2025-11-25', langChain, 'cancel'], // it ends no session: the idle timeout does
  ['@ai-sdk/mcp', '2025-11-25', aiSdk, 'DELETE'], // it sends no cancel: the code ends with the session
  ['@ai-sdk/mcp', '2026-07-28', aiSdk, 'cancel'], // it closes the response
  ['@modelcontextprotocol/sdk 1.x', '2025-11-25', sdkV1, 'cancel'],
  ['@modelcontextprotocol/client 2.x', '2025-11-25', sdkV2, 'cancel'],
  ['@modelcontextprotocol/client 2.x', '2026-07-28', sdkV2, 'cancel'], // it closes the response
] as const)('%s, protocol %s', (_name, protocol, open, ending) => {
  const connect = async (): Promise<Driver> => await open(urls[protocol])

  test('output, a failure, an image and a cut output arrive', async () => {
    await using driver = await connect()
    expect(driver.toolNames).toContain('run_code')
    const python = (code: string) => driver.call('run_code', { language: 'python', code })
    expect(await python('print(6 * 7)')).toEqual({ text: '42', imageCount: 0 })
    expect((await python('import sys; print("no", file=sys.stderr); sys.exit(3)')).text).toBe(
      '[stderr]\nno\n[exit code 3]',
    )
    expect(await python(savePng)).toEqual({ text: expect.stringMatching(/^saved\n.*dot\.png/), imageCount: 1 })
    expect((await python('print("x" * 100_000)')).text).toMatch(
      /^x+\n.*characters cut[^]*the whole output is in \/home/,
    )
  })

  test('a long run answers in parts', async () => {
    await using driver = await connect()
    const code = 'for n in $(seq 8); do echo line $n; sleep 2; done'
    const first = await driver.call('run_code', { language: 'bash', code })
    const [, callId = ''] = /call wait with callId (call_\d+)/.exec(first.text) ?? []
    const texts = [first.text]
    while (texts.at(-1)?.includes('[still running')) texts.push((await driver.call('wait', { callId })).text)
    const text = texts.join('\n')
    expect(text.match(/line \d/g)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `line ${n}`))
    expect(text).toMatch(/\[ended after \d+ s\]/)
  })

  test('the code of a cancelled call ends by the message that this client sends', async () => {
    const driver = await connect()
    const bash = (code: string, signal?: AbortSignal) => driver.call('run_code', { language: 'bash', code }, signal)
    const agent = await agentOf((code) => bash(code))
    const cancel = new AbortController()
    const call = bash('touch started; sleep 59', cancel.signal).then(
      () => 'a result',
      () => 'cancelled',
    )
    await expect
      .poll(async () => (await agent.exec('bash', 'ls started; pgrep -x sleep')).stdout)
      .toMatch(/^started\n\d+/)
    cancel.abort()
    expect(await call).toBe('cancelled')
    if (ending === 'DELETE') await driver[Symbol.asyncDispose]()
    await expect.poll(async () => await isSleeping(agent)).toBe(false)
    if (ending === 'cancel') await driver[Symbol.asyncDispose]()
  })
})

describe('the inspector', () => {
  const launcher = join(
    dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/inspector/package.json')),
    'clients/launcher/build/index.js',
  )
  const inspect = async (...args: string[]) =>
    await promisify(execFile)(process.execPath, [launcher, '--cli', ...args], { maxBuffer: 10 * 1024 * 1024 })

  test('it finds no fault in any schema', async () => {
    const args = ['--strict', '--method', 'tools/list', process.execPath, bin, '--local', '--toolsets', 'all']
    const { stdout, stderr } = await inspect(...args)
    expect(JSON.parse(stdout).tools).toHaveLength(19)
    expect(stderr).toBe('')
  })

  const request = async (method: string, ...args: string[]) => {
    const overHttp = ['--server-url', urls['2025-11-25'], '--transport', 'http']
    const { stdout } = await inspect('--method', method, ...args, ...overHttp)
    return JSON.parse(stdout)
  }
  const run = async (language: string, code: string): Promise<Seen> => {
    const args = ['--tool-name', 'run_code', '--tool-arg', `language=${language}`, `code=${code}`]
    return seenIn((await request('tools/call', ...args)).content)
  }

  test('output, a failure, an image and a cut output arrive', async () => {
    expect(await run('python', 'print(6*7)')).toEqual({ text: '42', imageCount: 0 })
    expect((await run('bash', 'echo no >&2; exit 3')).text).toBe('[stderr]\nno\n[exit code 3]')
    const gif = 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
    expect((await run('bash', `echo ${gif} | base64 -d > dot.gif`)).imageCount).toBe(1)
    expect((await run('bash', 'seq 100000')).text).toMatch(/^1\n2\n[^]*characters cut/)
  })

  test('a long run over stdio answers with its output so far; its sandbox ends with the command', async () => {
    const env = [`THEAZO_BASE_URL=${server.url}`, `THEAZO_API_KEY=${server.apiKey}`, 'THEAZO_USER_ID=inspector']
    const tool = ['--tool-name', 'run_code', '--tool-arg', 'language=bash', 'code=echo before; sleep 59']
    const program = [process.execPath, bin, '--answer-within', '5']
    const flags = env.flatMap((variable) => ['-e', variable])
    const { stdout } = await inspect(...flags, '--method', 'tools/call', ...tool, '--', ...program)
    expect(seenIn(JSON.parse(stdout).content).text).toMatch(/^before\n\[still running after \d+ s/)
    const session = await theazo.sessions.forUser('inspector')
    const { data } = await session.agents.list().page()
    expect(data).toHaveLength(1)
    await expect.poll(async () => (await data[0]?.refresh())?.data.status).toBe('terminated')
  })

  test('resources and prompts are listed and read', async () => {
    const { resources } = await request('resources/list')
    expect(resources.map(({ uri }: { uri: string }) => uri)).toEqual(['theazo://agents', 'theazo://usage'])
    expect((await request('resources/read', '--uri', 'theazo://usage')).contents[0].text).toMatch('"usage"')
    const args = ['--prompt-name', 'analyze_file', '--prompt-args', 'path=/workspace/a.csv']
    expect((await request('prompts/get', ...args)).messages[0].content.text).toMatch('/workspace/a.csv')
  })
})
