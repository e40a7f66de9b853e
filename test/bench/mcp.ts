/**
 * The MCP server against the smallest server of the MCP SDK: a call that does nothing, the start, and many sessions.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { alternate, percentile, type Row, timeRow } from './measure.ts'

const bin = fileURLToPath(new URL('../../packages/mcp/dist/bin.js', import.meta.url))
const minimal = fileURLToPath(new URL('mcp-minimal-server.ts', import.meta.url))
/** Node flags of a server whose heap is measured. */
const heapReporter = ['--expose-gc', '--import', new URL('heap-reporter.mjs', import.meta.url).href]
const token = 'a-token-for-benchmarks'
/** No Theazo server is there: the calls need none. */
const env = { THEAZO_API_KEY: 'th_test_bench', THEAZO_BASE_URL: 'http://127.0.0.1:9/v1', THEAZO_MCP_TOKEN: token }
const peer = 'minimal SDK server'
/** Our server has no tool of this name and answers with the valid names; the minimal server has one that does nothing. */
const call = { name: 'noop', arguments: {} }

/** Rows for stdio, HTTP, the start of the process and 100 sessions. */
const start = (args: string[]) => async () => await (await connectStdio(args)).close()

export async function mcpRows(): Promise<Row[]> {
  return [...(await stdioRows()), ...(await httpRows()), await startRow()]
}

async function stdioRows(): Promise<Row[]> {
  const [ours, theirs] = await Promise.all([connectStdio([bin]), connectStdio([minimal])])
  const rows = await callRows('stdio', ours, theirs)
  await Promise.all([ours.close(), theirs.close()])
  return rows
}

async function httpRows(): Promise<Row[]> {
  const programs = [
    await startHttp([...heapReporter, bin, 'http', '--port', '0', '--max-sessions-per-user', '200']),
    await startHttp([minimal, 'http']),
  ] as const
  const [ours, theirs] = await Promise.all(programs.map(({ url }) => connectHttp(url)))
  if (!ours || !theirs) throw new Error('not connected')
  const rows = await callRows('HTTP', ours, theirs)
  await Promise.all([ours.close(), theirs.close()])
  rows.push(await sessionsRow(programs[0]))
  for (const { child } of programs) child.kill('SIGTERM')
  return rows
}

async function callRows(transport: string, ours: Client, theirs: Client): Promise<Row[]> {
  await ours.setLoggingLevel('emergency') // the answer is an error, which the server would log to the client as well
  const times = await alternate(
    1000,
    () => ours.callTool(call),
    () => theirs.callTool(call),
  )
  const [ourTimes = [], theirTimes = []] = times
  return [50, 99].map((percent) => {
    const what = `MCP call that runs no tool, over ${transport}, p${percent}`
    return timeRow(what, percentile(ourTimes, percent), peer, percentile(theirTimes, percent), '<= 1.2')
  })
}

async function startRow(): Promise<Row> {
  const [ours = [], theirs = []] = await alternate(10, start([bin]), start([minimal]))
  return timeRow('MCP start to the answer of initialize', percentile(ours, 50), peer, percentile(theirs, 50), '<= 1.3')
}

/** Three times 100 sessions with 20 calls each. If sessions leave something behind, the used heap grows each time. */
async function sessionsRow({ url, child }: HttpProgram): Promise<Row> {
  let failures = 0
  const resident: number[] = []
  const heap = [await usedHeapMiB(child)]
  const session = async (): Promise<void> => {
    const client = await connectHttp(url)
    for (let n = 0; n < 20; n += 1) {
      const { content } = await client.callTool(call)
      if (!JSON.stringify(content).includes("There is no tool 'noop'")) failures += 1
    }
    await (client.transport as StreamableHTTPClientTransport).terminateSession()
    await client.close()
  }
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(Array.from({ length: 100 }, session))
    resident.push(residentMiB(child.pid))
    heap.push(await usedHeapMiB(child))
  }
  const ours = `${failures} failures; heap in use before and after each: ${list(heap)} MiB; resident: ${list(resident)} MiB`
  return {
    what: '3 times 100 concurrent MCP sessions over HTTP, 20 calls each',
    ours,
    peer: '',
    theirs: '',
    ratio: Number.NaN,
  }
}

function list(sizes: readonly number[]): string {
  return sizes.map((size) => size.toFixed(0)).join(', ')
}

async function connectStdio(args: string[]): Promise<Client> {
  const client = new Client({ name: 'bench', version: '0' })
  await client.connect(new StdioClientTransport({ command: process.execPath, args, env, stderr: 'ignore' }))
  return client
}

async function connectHttp(url: string): Promise<Client> {
  const client = new Client({ name: 'bench', version: '0' })
  const requestInit = { headers: { Authorization: `Bearer ${token}` } }
  // The cast: its optional fields may be undefined.
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }) as Transport)
  return client
}

interface HttpProgram {
  url: string
  child: ReturnType<typeof spawn>
}

async function startHttp(args: string[]): Promise<HttpProgram> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { url: String(line), child }
}

/** The heap that is still in use after a collection, once the connections of the last round are closed. */
async function usedHeapMiB(child: HttpProgram['child']): Promise<number> {
  const lines = createInterface({ input: child.stderr ?? process.stdin })
  try {
    let last = Infinity
    for (;;) {
      child.kill('SIGUSR2')
      const [line] = await once(lines, 'line')
      const mib = Number(/^heap (\d+)$/.exec(String(line))?.[1]) / 1024 / 1024
      if (mib > last - 0.1) return mib
      last = mib
      await setTimeout(200)
    }
  } finally {
    lines.close()
  }
}

function residentMiB(pid: number | undefined): number {
  const [, kiB = ''] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kiB) / 1024
}
