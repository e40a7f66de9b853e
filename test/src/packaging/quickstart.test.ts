// The output of `npm start`, compared with the expected results.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startModelServer, type WantedCall } from '../support/model-server.ts'
import { root } from '../support/server-process.ts'

const main = join(root, 'examples/quickstart/src/main.ts')
const frameworks = ['LangGraph', 'AI SDK', 'MCP client', 'Theazo run']

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-quickstart-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

interface ProgramOutput {
  code: number | null
  out: string
  err: string
}

/** Runs the program to its end, with no API keys except those given. */
async function quickstart(args: string[], env: Record<string, string> = {}): Promise<ProgramOutput> {
  const child = spawn(process.execPath, [main, ...args], { env: { PATH: process.env['PATH'], ...env } })
  const result: ProgramOutput = { code: null, out: '', err: '' }
  child.stdout.on('data', (chunk) => (result.out += chunk))
  child.stderr.on('data', (chunk) => (result.err += chunk))
  ;[result.code] = await once(child, 'close')
  return result
}

const hex = (length: number) => new RegExp(`^\\s+([0-9a-f]{${length}})$`, 'gm')
/** The line of a tool result below the output of the code. */
const filesNote = '[files made or changed: /workspace/digest.txt (64 bytes)]'
const printedIn = (text: string): string => text.replace(filesNote, '').trim()
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

test('three frameworks and the server, four sandboxes: fresh nonces, recomputed here, and models that saw the results', async () => {
  const [log, report] = [join(folder, 'log'), join(folder, 'report.json')]
  const { code, out } = await quickstart(['--server-log', log, '--report', report])
  expect(code).toBe(0)
  expect(out).toContain('Model: scripted')

  const runs = JSON.parse(readFileSync(report, 'utf8')) as {
    framework: string
    agentId: string
    nonce: string
    steps: { tool: string; subject: string; output: string }[]
    received: string[]
    answer: string
  }[]
  expect(runs.map(({ framework }) => framework)).toEqual(frameworks)
  expect(new Set(runs.map(({ nonce }) => nonce)).size).toBe(4)

  const printed = Array.from(out.matchAll(hex(64)), ([, digest]) => digest)
  for (const [index, { nonce, steps, received, answer, agentId }] of runs.entries()) {
    const digest = sha256(nonce)
    const reversed = Array.from(digest).toReversed().join('')
    expect(printed.slice(index * 3, index * 3 + 3)).toEqual([digest, digest, reversed])
    expect(steps.map(({ tool, subject }) => `${tool} ${subject}`)).toEqual([
      'write_file input.txt',
      'run_code python',
      'read_file digest.txt',
      'run_code bash',
      'run_code typescript',
    ])
    const [written, python, read, bash, typescript] = steps.map(({ output }) => printedIn(output))
    expect([written, python, read, typescript]).toEqual(['Wrote input.txt (32 bytes).', digest, digest, reversed])
    const [, inside, outside] = /^(\d+)\s+(\d+)\s+1$/.exec(bash ?? '') ?? []
    expect(inside).toBe(outside)
    expect(Number(outside)).toBeGreaterThan(0)
    // The model's next turn received the text of each tool result, and the last answer quotes it.
    expect(received.map(printedIn)).toEqual([written, python, read, bash, typescript])
    expect(received[1]).toContain(filesNote)
    expect(answer).toBe(`The digest is ${digest}; reversed it is ${reversed}.`)
    expect(out).toContain(agentId)
  }

  const paths = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { path: string; status: number })
  const execs = paths.filter(({ path, status }) => path.endsWith('/exec') && status === 200)
  const agents = new Set(execs.map(({ path }) => path.split('/')[3]))
  // The server's own loop makes no requests for its execs.
  expect([...agents]).toEqual(runs.slice(0, 3).map(({ agentId }) => agentId))
  expect(execs).toHaveLength(3 * 5)
})

test('a second run has different nonces, and prints the next step', async () => {
  const outputs = [await quickstart([]), await quickstart([])]
  const digests = outputs.flatMap(({ out }) => Array.from(out.matchAll(hex(64)), ([, digest]) => digest))
  expect(new Set(digests).size).toBe(2 * 4 * 2) // a digest and its reverse, for four runs, in two programs
  for (const { out } of outputs) expect(out).toMatch(/mcpServers[^]*npm run -s serve/)
})

test.each([
  [
    'anthropic',
    { ANTHROPIC_API_KEY: 'sk-ant-of-the-test' },
    'ANTHROPIC_BASE_URL',
    '',
    'x-api-key',
    'sk-ant-of-the-test',
  ],
  ['openai', { OPENAI_API_KEY: 'sk-of-the-test' }, 'OPENAI_BASE_URL', '/v1', 'authorization', 'Bearer sk-of-the-test'],
])(
  'with a key of %s that model drives, by its own protocol',
  async (provider, keys, baseUrl, suffix, header, value) => {
    await using providers = await startModelServer((prompt): WantedCall[] => {
      const nonce = /the text \\+"([0-9a-f]{32})/.exec(prompt)?.[1] ?? 'no nonce in the prompt'
      const python = `import hashlib\nd = hashlib.sha256(open("input.txt", "rb").read()).hexdigest()\nopen("digest.txt", "w").write(d)\nprint(d)`
      const typescript = 'console.log([...require("fs").readFileSync("digest.txt", "utf8")].reverse().join(""))'
      return [
        { name: 'write_file', input: { path: 'input.txt', content: nonce } },
        { name: 'run_code', input: { language: 'python', code: python } },
        { name: 'read_file', input: { path: 'digest.txt' } },
        { name: 'run_code', input: { language: 'bash', code: 'cat /proc/self/uid_map' } },
        { name: 'run_code', input: { language: 'typescript', code: typescript } },
      ]
    })
    const { code, out, err } = await quickstart([], { ...keys, [baseUrl]: providers.url + suffix })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain(`Model: ${provider}`)
    expect(providers.requests).toHaveLength(4 * 6)
    for (const { path, headers } of providers.requests) {
      expect(path).toBe(provider === 'anthropic' ? '/v1/messages' : '/v1/chat/completions')
      expect(headers[header]).toBe(value)
    }
    // The MCP server adds wait and stop to the six tools of the others.
    const numbers = providers.requests.map(({ body }) => (body['tools'] as unknown[]).length)
    expect(numbers.toSorted((a, b) => a - b)).toEqual([...Array<number>(18).fill(6), ...Array<number>(6).fill(8)])
    expect(out).not.toContain('of-the-test')
  },
)

test('fails without bubblewrap, prints the fix and prints no result', async () => {
  const { code, out, err } = await quickstart([], { PATH: '/nowhere' })
  expect(code).toBe(1)
  expect(err).toMatch(/bubblewrap is not installed.*\/nowhere.*apt-get install -y bubblewrap/)
  expect(out).not.toMatch(hex(64))
})

test.each(['SIGINT', 'SIGTERM'] as const)('%s during a run leaves no process and no file', async (signal) => {
  const child = spawn(process.execPath, [main], { env: { PATH: process.env['PATH'] }, detached: true })
  let out = ''
  const reached = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      out += chunk
      if (/MCP client[^]*run_code   bash/.test(out)) resolve()
    })
  })
  const closed = once(child, 'close')
  await reached
  child.kill(signal)
  const [code] = await closed
  expect(code).toBe(signal === 'SIGINT' ? 130 : 143)
  // The program leads its own process group, because it is detached. The group is empty: no theazo-mcp, no sandbox.
  expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow('ESRCH')
})
