import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Theazo } from '@theazo/core'
import { listenTheazo } from '@theazo/server'
import { expect, test } from 'vitest'

const bin = fileURLToPath(new URL('../dist/bin.js', import.meta.url))

/** The real process, as a client starts it; gone at the end of the test. */
async function connect(args: string[], env: Record<string, string> = {}) {
  const client = new Client({ name: 'test', version: '0' })
  const transport = new StdioClientTransport({ command: process.execPath, args: [bin, ...args], env, stderr: 'pipe' })
  await client.connect(transport)
  const pid = transport.pid ?? 0
  return {
    client,
    pid,
    async call(input: Record<string, unknown>) {
      return CallToolResultSchema.parse(await client.callTool({ name: 'run_code', arguments: input }))
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('--local offers run_code with its schemas and hints, and runs it', async () => {
  await using mcp = await connect(['--local'])
  const { tools } = await mcp.client.listTools()
  expect(tools).toMatchObject([
    {
      name: 'run_code',
      inputSchema: { type: 'object', required: ['language', 'code'] },
      outputSchema: { type: 'object' },
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
    },
  ])
  expect(await mcp.call({ language: 'python', code: 'print(2 + 2)' })).toMatchObject({
    content: [{ type: 'text', text: '4' }],
    structuredContent: { stdout: '4\n', stderr: '', exitCode: 0 },
  })
})

test('one sandbox serves the whole conversation, also when the first calls come at once', async () => {
  await using mcp = await connect(['--local'])
  const first = await Promise.all([1, 2, 3].map((n) => mcp.call({ language: 'bash', code: `echo ${n} > ${n}` })))
  const last = await mcp.call({ language: 'bash', code: 'cat 1 2 3' })
  expect(last.structuredContent).toMatchObject({ stdout: '1\n2\n3\n' })
  expect(new Set([...first, last].map(({ structuredContent }) => structuredContent?.['agentId'])).size).toBe(1)
})

test('a failing program is a result; a wrong input is an error that names the field', async () => {
  await using mcp = await connect(['--local'])
  const failed = await mcp.call({ language: 'bash', code: 'echo no >&2; exit 3' })
  expect(failed.isError).toBeFalsy()
  expect(failed.content).toEqual([{ type: 'text', text: '[stderr]\nno\n[exit code 3]' }])
  const wrong = await mcp.call({ language: 'ruby', code: '1' })
  expect(wrong.isError).toBe(true)
  expect(JSON.stringify(wrong.content)).toContain('language')
})

test('it uses the API of the environment, and ends its sandbox and itself when the client goes', async () => {
  await using server = await listenTheazo({ port: 0 })
  const { url: baseUrl, apiKey } = server
  const mcp = await connect([], { THEAZO_BASE_URL: baseUrl, THEAZO_API_KEY: apiKey })
  const { structuredContent } = await mcp.call({ language: 'bash', code: 'true' })
  const agent = await new Theazo({ baseUrl, apiKey }).agents.get(String(structuredContent?.['agentId']))
  expect(agent.data.status).toBe('idle')

  await mcp.client.close()
  await expect.poll(() => isAlive(mcp.pid)).toBe(false)
  expect((await new Theazo({ baseUrl, apiKey }).agents.get(agent.id)).data.status).toBe('terminated')
})

test('a wrong key is an error that a model can act on, and it holds no key', async () => {
  await using server = await listenTheazo({ port: 0 })
  await using mcp = await connect([], { THEAZO_BASE_URL: server.url, THEAZO_API_KEY: 'th_live_wrong-key' })
  const result = await mcp.call({ language: 'bash', code: 'true' })
  expect(result.isError).toBe(true)
  const text = JSON.stringify(result.content)
  expect(text).toMatch(/unauthorized.*only the owner can mend this/)
  expect(text).not.toContain('wrong-key')
})

test('without a key and without --local it says what to do, on standard error', async () => {
  const child = spawn(process.execPath, [bin], { env: { PATH: process.env['PATH'] } })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  const [code] = await once(child, 'close')
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(/THEAZO_API_KEY.*--local/)
})
