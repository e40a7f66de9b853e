// The MCP server with clients that other people wrote: what their users see of output, failures, images and long runs.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { createMCPClient } from '@ai-sdk/mcp'
import type { ToolMessage } from '@langchain/core/messages'
import { MultiServerMCPClient } from '@langchain/mcp-adapters'
import { type Agent, Theazo } from '@theazo/core'
import { listenTheazo, type ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const bin = join(root, 'packages/mcp/dist/bin.js')
let server: ListeningTheazo
let theazo: Theazo
let program: ChildProcess
let url: string
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  const { url: baseUrl, apiKey } = server
  theazo = new Theazo({ baseUrl, apiKey })
  const args = [bin, 'http', '--auth', 'none', '--port', '0', '--answer-within', '10']
  const env = { ...process.env, THEAZO_BASE_URL: baseUrl, THEAZO_API_KEY: apiKey }
  program = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: program.stdout ?? process.stdin }), 'line')
  url = String(line)
})
afterAll(async () => {
  const ended = once(program, 'exit')
  program.kill('SIGTERM')
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

async function langChain(): Promise<Driver> {
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

async function aiSdk(): Promise<Driver> {
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
  ['@langchain/mcp-adapters', langChain, 'cancel'], // its close sends nothing: the session ends when it is idle
  ['@ai-sdk/mcp', aiSdk, 'DELETE'], // it sends no cancel: the code ends with the session
])('%s', (_name, connect, ending) => {
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
    await bash('echo ready')
    const session = await theazo.sessions.forUser('mcp')
    const [agent] = (await session.agents.list().page()).data
    if (!agent) throw new Error('there is no agent')
    const cancel = new AbortController()
    const call = bash('touch started; sleep 59', cancel.signal).then(
      () => 'a result',
      () => 'cancelled',
    )
    await expect.poll(async () => (await agent.exec('bash', 'ls; pgrep -x sleep')).stdout).toMatch(/^started\n\d+/)
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

  test('it calls a tool over HTTP', async () => {
    const tool = ['--tool-name', 'run_code', '--tool-arg', 'language=python', 'code=print(6*7)']
    const { stdout } = await inspect('--method', 'tools/call', ...tool, '--server-url', url, '--transport', 'http')
    expect(JSON.parse(stdout)).toMatchObject({ content: [{ type: 'text', text: '42' }] })
  })
})
