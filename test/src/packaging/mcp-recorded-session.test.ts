// The packed server, installed in an empty folder and started as npx starts it, against recorded sessions. The files in
// test/fixture/mcp-sessions have the lines of the client (`> `) and what the server answers to each. To record the answers
// again, run this test with THEAZO_RECORD=1.
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installPackedPackages } from '../support/packed-packages.ts'
import { root } from '../support/server-process.ts'

const sessions = join(root, 'test/fixture/mcp-sessions')
const npmEnv = { ...process.env, PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter) }
let folder: string
beforeAll(async () => {
  const tarballs = join(await installPackedPackages(), 'tarballs')
  folder = mkdtempSync(join(tmpdir(), 'theazo-npx-'))
  const needed = readdirSync(tarballs).filter((name) => /^theazo-(core|mcp|server)-/.test(name))
  const args = ['install', '--no-audit', '--no-fund', '--prefer-offline', ...needed.map((name) => join(tarballs, name))]
  execFileSync('npm', args, { cwd: folder, stdio: 'pipe', env: npmEnv })
}, 240_000)
afterAll(() => rmSync(folder, { recursive: true }))

test.each(readdirSync(sessions))(
  '%s: the packed server answers as recorded',
  async (name) => {
    const path = join(sessions, name)
    const recorded = readFileSync(path, 'utf8')
    const sent = recorded.split('\n').filter((line) => line.startsWith('> '))
    const transcript = await replay(sent.map((line) => line.slice(2)))
    if (process.env['THEAZO_RECORD']) writeFileSync(path, transcript)
    else expect(transcript).toBe(recorded)
  },
  120_000,
)

/** Sends the lines one after the other, each after the answer to the one before. Returns the transcript. */
async function replay(lines: readonly string[]): Promise<string> {
  const server = spawn('npx', ['--no', '--', 'theazo-mcp', '--local'], { cwd: folder, env: npmEnv })
  const exited = once(server, 'exit')
  const failed = exited.then(([code]) => Promise.reject(new Error(`the server exited with code ${code}`)))
  failed.catch(() => {}) // at the end it exits
  server.stderr.on('data', (chunk) => process.stderr.write(chunk))
  const answers = createInterface({ input: server.stdout })
  const parts: string[] = []
  let agentId = ''
  for (const line of lines) {
    const received = await Promise.race([exchange(server, answers, line.replaceAll('AGENT_ID', agentId)), failed])
    agentId = /agt_\w+/.exec(JSON.stringify(received))?.[0] ?? agentId
    parts.push(`> ${line}`, ...received.map((message) => JSON.stringify(masked(message), undefined, 2)), '')
  }
  server.stdin.end()
  expect(await exited).toEqual([0, null])
  return parts.join('\n')
}

interface Message {
  id?: unknown
  method?: string
}

/** Sends a line. Returns the messages up to its answer, which a notification does not have. */
async function exchange(
  { stdin }: ChildProcessWithoutNullStreams,
  answers: Interface,
  line: string,
): Promise<readonly Message[]> {
  const messages: Message[] = []
  const answered = Promise.withResolvers<void>()
  const isNotification = !/^\{.*"id":/.test(line)
  const onLine = (answer: string): void => {
    const message = JSON.parse(answer) as Message
    messages.push(message)
    if (message.method === 'ping') stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: message.id, result: {} })}\n`)
    else if (message.id !== undefined) answered.resolve()
  }
  answers.on('line', onLine)
  stdin.write(`${line}\n`)
  if (!isNotification) await answered.promise
  answers.off('line', onLine)
  return messages
}

/** The message without what differs from run to run, and without schemas, which other tests check. */
function masked(message: unknown): unknown {
  const text = JSON.stringify(message, (key, value: unknown) => {
    if (key === 'inputSchema' || key === 'outputSchema') return '…'
    return key === 'version' || key === 'durationMs' || key === 'modifiedAt' ? '…' : value
  })
  return JSON.parse(text.replaceAll(/agt_\w+/g, 'AGENT_ID'))
}
