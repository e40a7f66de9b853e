import { createHash } from 'node:crypto'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { type Agent, type ExecResult, Theazo } from '@theazo/core'
import { SandboxPool } from '@theazo/core/pool'
import type { ToolSandbox } from '@theazo/core/tools'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileUri } from './resources/file-uri.ts'
import type { TheazoMcpServerOptions } from './mcp-handlers.ts'
import { connectV1, connectV2Modern, type InProcessSettings } from './testing/in-process.ts'
import { agentIdOf, type TestClient, textOf } from './testing/test-client.ts'

/** Python that saves a PNG of random pixels, which does not compress: three bytes per pixel. */
const saveNoisePng = (path: string, side: number) => `
import os, struct, zlib
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
rows = b''.join(b'\\0' + os.urandom(3 * ${side}) for _ in range(${side}))
open('${path}', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', ${side}, ${side}, 8, 2, 0, 0, 0))
    + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
`

describe.each([
  ['version 1 of the SDK', connectV1],
  ['version 2 of the SDK', connectV2Modern],
])('%s', (_version, connectInProcess) => {
  let local: LocalTheazo
  let theazo: Theazo
  beforeAll(async () => {
    local = await createLocalTheazo()
    theazo = new Theazo(local)
  })
  afterAll(async () => await local[Symbol.asyncDispose]())

  /** Connects a client to an MCP server in this process. Disposing the client ends the sandbox. */
  async function connect(
    options: Partial<TheazoMcpServerOptions> = {},
    settings: InProcessSettings = {},
  ): Promise<TestClient> {
    const pool = new SandboxPool(theazo)
    const mcp = await connectInProcess({ userId: 'in-process', client: theazo, pool, ...options }, settings)
    return {
      ...mcp,
      async [Symbol.asyncDispose]() {
        await mcp.client.close()
        await pool.dispose()
      },
    }
  }

  describe('tools', () => {
    test('by default the tools for code and files are listed, with plain schemas and hints', async () => {
      await using mcp = await connect()
      const { tools } = await mcp.client.listTools()
      expect(tools.map(({ name }) => name)).toEqual([
        'run_code',
        'read_file',
        'write_file',
        'edit_file',
        'list_files',
        'delete_file',
        'wait',
        'stop',
      ])
      expect(tools[0]).toMatchObject({
        title: 'Run code',
        inputSchema: { type: 'object', required: ['language', 'code'], additionalProperties: false },
        outputSchema: { type: 'object', additionalProperties: true },
        annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
      })
      expect(tools[0]?.inputSchema.properties?.['timeoutSeconds']).toMatchObject({ type: 'integer' })
      expect(tools.filter(({ outputSchema }) => outputSchema?.properties?.['images'])).toEqual([])
    })

    test('groups, only and readOnly select other tools', async () => {
      const namesOf = async (options: Partial<TheazoMcpServerOptions>) => {
        await using mcp = await connect(options)
        return (await mcp.client.listTools()).tools.map(({ name }) => name)
      }
      expect(await namesOf({ groups: 'all' })).toHaveLength(19)
      expect(await namesOf({ readOnly: true })).toEqual(['read_file', 'list_files', 'wait'])
      expect(await namesOf({ only: ['get_usage'] })).toEqual(['get_usage', 'wait', 'stop'])
      await expect(namesOf({ groups: ['code'], readOnly: true })).rejects.toThrow('leave no tool to offer')
    })

    test('an unknown tool name is an error that lists the tools', async () => {
      await using mcp = await connect({ groups: ['code'] })
      const result = await mcp.call('run_python', { code: '1' })
      expect(result).toEqual({
        isError: true,
        content: [{ type: 'text', text: "There is no tool 'run_python'. Valid: run_code, wait, stop." }],
      })
    })

    test('input is parsed leniently, and invalid input is an error that names the field and its valid values', async () => {
      await using mcp = await connect()
      for (const timeoutSeconds of ['30', null, 300]) {
        const result = await mcp.call('run_code', { language: 'py', code: 'print(2 + 2)', timeoutSeconds })
        expect([timeoutSeconds, result.isError, textOf(result)]).toEqual([timeoutSeconds, undefined, '4'])
      }
      const wrong = await mcp.call('run_code', { language: 'ruby', code: 'puts 1' })
      expect(wrong.isError).toBe(true)
      expect(textOf(wrong)).toMatch(/did not run.*language must be 'python' or 'typescript' or 'bash'/)
    })

    test('a failing program is a normal result with its exit code in the text and in the data', async () => {
      await using mcp = await connect()
      const failed = await mcp.call('run_code', { language: 'bash', code: 'echo no >&2; exit 3' })
      expect(failed.isError).toBeFalsy()
      expect(failed.content).toEqual([{ type: 'text', text: '[stderr]\nno\n[exit code 3]' }])
      expect(failed.structuredContent).toMatchObject({ stderr: 'no\n', exitCode: 3 })
    })

    test('an agent function that throws is an error of that call without its text, and the next call works', async () => {
      let isBroken = true
      const session = await theazo.sessions.forUser('broken')
      await using agent = await session.agents.create()
      const getAgent = async () => {
        if (isBroken) throw new Error('the database is down')
        return agent
      }
      const errors: unknown[] = []
      await using mcp = await connect(
        { userId: undefined, client: undefined, pool: undefined, agent: getAgent },
        { onError: (error) => errors.push(error) },
      )
      expect(await mcp.call('run_code', { language: 'bash', code: 'true' })).toEqual({
        isError: true,
        content: [{ type: 'text', text: 'run_code failed: internal error. You may try once more.' }],
      })
      await expect(mcp.client.readResource({ uri: 'theazo://usage' })).rejects.toThrow(/Internal error\.$/)
      expect(errors).toEqual([new Error('the database is down'), new Error('the database is down')])
      isBroken = false
      expect(await mcp.bash('echo fine')).toBe('fine')
    })

    test('in a session with a cap, results name what is left of the budget', async () => {
      await theazo.sessions.create({
        userId: 'capped',
        limits: { maxCost: { amount: 500, currency: 'usd', period: 'session' } },
      })
      await using mcp = await connect({ userId: 'capped' })
      const result = await mcp.call('run_code', { language: 'bash', code: 'echo fine' })
      expect(textOf(result)).toMatch(/^fine\n\[budget: \$\d\.\d\d left\]$/)
      const { remainingCents } = result.structuredContent as { remainingCents: number }
      expect(remainingCents).toBeGreaterThan(400)
      expect(remainingCents).toBeLessThanOrEqual(500)
      await using other = await connect()
      const without = await other.call('run_code', { language: 'bash', code: 'echo fine' })
      expect([textOf(without), without.structuredContent?.['remainingCents']]).toEqual(['fine', undefined])
    })

    test('if the client cancels a call, its code is killed', async () => {
      await using mcp = await connect()
      const cancel = new AbortController()
      const input = { language: 'bash', code: 'echo started; sleep 59; touch done' }
      const options = { signal: cancel.signal, onprogress: () => cancel.abort(new Error('not wanted')) }
      await expect(mcp.call('run_code', input, options)).rejects.toThrow('not wanted')
      await expect.poll(() => mcp.bash('pgrep -x sleep || ls')).toBe('(no output)')
    })
  })

  describe('long calls', () => {
    const bash = (code: string) => ({ language: 'bash', code })
    const callIdOf = ({ structuredContent }: CallToolResult) => String(structuredContent?.['callId'])
    /** Prints `before`, waits for the file `go`, then prints `after` and fails with exit code 3. */
    const slow = 'echo before; echo error >&2; until [ -e go ]; do sleep 0.05; done; echo after; exit 3'

    let agent: Agent
    /** A server that answers after one second, and its sandbox. Checks use the sandbox itself, not the server. */
    async function connectToAgent(): Promise<TestClient> {
      const session = await theazo.sessions.forUser('long-calls')
      agent = await session.agents.create()
      await agent.exec('bash', 'true')
      const mcp = await connect({ userId: undefined, client: undefined, pool: undefined, agent, answerSeconds: 1 })
      return {
        ...mcp,
        async [Symbol.asyncDispose]() {
          await mcp[Symbol.asyncDispose]()
          await agent.terminate()
        },
      }
    }
    const isSleeping = async () => (await agent.exec('bash', 'pgrep -x sleep')).exitCode === 0

    /** Calls run_code, and wait until the first answer with output: on a busy machine that may take more than a second. */
    async function firstOutput(mcp: TestClient, input: Record<string, unknown>): Promise<CallToolResult> {
      let answer = await mcp.call('run_code', input)
      while (answer.structuredContent?.['stdout'] === '') answer = await mcp.call('wait', { callId: callIdOf(answer) })
      return answer
    }

    /** Calls wait until the call has ended. */
    async function end(mcp: TestClient, callId: string): Promise<CallToolResult> {
      for (;;) {
        const answer = await mcp.call('wait', { callId })
        if (!answer.structuredContent?.['isRunning']) return answer
      }
    }

    test('a long call answers with its output so far, and wait returns the rest once', async () => {
      await using mcp = await connectToAgent()
      const first = await firstOutput(mcp, bash(slow))
      expect(first.isError).toBeFalsy()
      const text = /^before\n\[stderr\]\nerror\n\[still running after \d+ s: call wait with callId call_1 .*stop/
      expect(textOf(first)).toMatch(text)
      const data = { isRunning: true, callId: 'call_1', agentId: agent.id, stdout: 'before\n', stderr: 'error\n' }
      expect(first.structuredContent).toEqual(data)

      const second = await mcp.call('wait', { callId: 'call_1', timeoutSeconds: 60 })
      expect(textOf(second)).toMatch(/^\[still running after \d+ s: call wait with callId call_1 /)
      expect(second.structuredContent).toEqual({ ...data, stdout: '', stderr: '' })

      await agent.files.write('go', '')
      const last = await end(mcp, 'call_1')
      const files = /^\[ended after \d+ s\]\nafter\n\[files made or changed: \/workspace\/go .*\]\n\[exit code 3\]$/
      expect(textOf(last)).toMatch(files)
      expect(last.structuredContent).toMatchObject({ stdout: 'after\n', stderr: '', exitCode: 3 })
      expect(last.structuredContent).not.toHaveProperty('isRunning')

      const again = await mcp.call('wait', { callId: 'call_1' })
      const refused = "There is no running call 'call_1'. No call waits for an answer."
      expect([again.isError, textOf(again)]).toEqual([true, refused])
    })

    test('a call that ended before wait has its images and its result', async () => {
      await using mcp = await connectToAgent()
      const code = `import time; time.sleep(1.5)\n${saveNoisePng('dot.png', 2)}`
      const first = await mcp.call('run_code', { language: 'python', code })
      await expect.poll(async () => (await agent.exec('bash', 'ls; pgrep -x python3')).stdout).toBe('dot.png\n')
      const last = await end(mcp, callIdOf(first))
      expect(last.content).toMatchObject([{ type: 'text' }, { type: 'image', mimeType: 'image/png' }])
      expect(last.structuredContent).toMatchObject({ exitCode: 0, files: [{ path: '/workspace/dot.png' }] })
    })

    test('output that is too long for one answer is cut to its start and its end', async () => {
      await using mcp = await connectToAgent()
      const code = 'until [ -e go ]; do sleep 0.05; done; seq 100000; until [ -e on ]; do sleep 0.05; done; seq 5'
      const first = await mcp.call('run_code', bash(code))
      await agent.exec('bash', 'touch go; sleep 1') // all numbers arrive before the next answer
      const second = await mcp.call('wait', { callId: callIdOf(first) })
      expect(textOf(second)).toMatch(/^1\n2\n[^]*characters cut …\][^]*\n100000\n\[still running/)
      expect(second.structuredContent).toMatchObject({ stdoutTruncated: true })
      await agent.files.write('on', '')
      const last = await end(mcp, callIdOf(first))
      expect(last.structuredContent).toMatchObject({ stdout: '1\n2\n3\n4\n5\n' })
      expect(last.structuredContent).not.toHaveProperty('stdoutTruncated')
    })

    test('wait reports the progress of the call', async () => {
      await using mcp = await connectToAgent()
      const first = await mcp.call('run_code', bash('for n in $(seq 1000); do echo line $n; sleep 0.1; done'))
      const seen: (string | undefined)[] = []
      const onprogress = ({ message }: { message?: string | undefined }) => seen.push(message)
      await mcp.call('wait', { callId: callIdOf(first) }, { onprogress })
      expect(seen[0]).toMatch(/^line \d+$/)
    })

    test('stop kills the code and returns the last output', async () => {
      await using mcp = await connectToAgent()
      const first = await firstOutput(mcp, bash(slow))
      await expect.poll(isSleeping).toBe(true) // between two sleeps there is none
      const stopped = await mcp.call('stop', { callId: callIdOf(first) })
      expect(stopped.isError).toBeFalsy()
      expect(textOf(stopped)).toMatch(/^\[stopped after \d+ s\]$/)
      expect(stopped.structuredContent).toMatchObject({ isRunning: false, callId: 'call_1' })
      await expect.poll(isSleeping).toBe(false)
    })

    test('if the client cancels wait, the code is killed', async () => {
      await using mcp = await connectToAgent()
      const first = await mcp.call('run_code', bash('while true; do echo tick; sleep 0.1; done'))
      const cancel = new AbortController()
      const options = { signal: cancel.signal, onprogress: () => cancel.abort(new Error('not wanted')) }
      await expect(mcp.call('wait', { callId: callIdOf(first) }, options)).rejects.toThrow('not wanted')
      await expect.poll(isSleeping).toBe(false)
      await expect
        .poll(async () => textOf(await mcp.call('wait', { callId: callIdOf(first) })))
        .toMatch('No call waits for an answer')
    })

    test('a connection that closes ends the calls that nobody waits for', async () => {
      const mcp = await connectToAgent()
      await firstOutput(mcp, bash(slow))
      await expect.poll(isSleeping).toBe(true) // between two sleeps there is none
      await mcp.client.close()
      await expect.poll(isSleeping).toBe(false)
      await agent.terminate()
    })

    test('an id that this server has not given out is refused with the valid ids', async () => {
      await using mcp = await connectToAgent()
      for (const code of [slow, slow]) await mcp.call('run_code', bash(code))
      const wrong = await mcp.call('wait', { callId: 'call_9' })
      expect([wrong.isError, textOf(wrong)]).toEqual([
        true,
        "There is no running call 'call_9'. Valid: call_1, call_2.",
      ])
      const missing = await mcp.call('stop')
      expect([missing.isError, textOf(missing)]).toEqual([
        true,
        expect.stringMatching(/^stop did not run. callId is missing/),
      ])
    })

    test('beyond 20 running calls a new one is refused until one has ended, also if they arrive together', async () => {
      await using mcp = await connectToAgent()
      const calls = Array.from({ length: 21 }, () => mcp.call('run_code', bash('until [ -e go ]; do sleep 0.2; done')))
      const answers = await Promise.all(calls)
      const together = answers.filter(({ isError }) => isError)
      expect(together.map(textOf)).toEqual(['20 calls still run. Wait until one of them answers.'])
      expect(answers.filter(({ structuredContent }) => structuredContent?.['isRunning'])).toHaveLength(20)
      const refused = await mcp.call('run_code', bash('true'))
      expect([refused.isError, textOf(refused)]).toEqual([
        true,
        expect.stringMatching(/^20 calls still run\. Wait for one of them or stop it: call_1, /),
      ])
      await agent.files.write('go', '')
      await end(mcp, 'call_7')
      expect((await mcp.call('run_code', bash('true'))).isError).toBeFalsy()
    })

    test('a wait that runs when the call is stopped says so', async () => {
      await using mcp = await connectToAgent()
      const first = await mcp.call('run_code', bash('while true; do echo tick; sleep 0.1; done'))
      const callId = callIdOf(first)
      const waiting = end(mcp, callId)
      expect(textOf(await mcp.call('stop', { callId }))).toMatch(/\[stopped after \d+ s\]$/)
      expect(textOf(await waiting)).toMatch(/^The client has stopped the call\.$|^There is no running call/)
    })

    describe('a sandbox that does not answer', () => {
      /** A sandbox of the caller whose execs never end, except those for which `result` returns a result. */
      const silent = (result: () => ExecResult | undefined = () => undefined) => {
        const exec: ToolSandbox['exec'] = async () => result() ?? (await new Promise<never>(() => {}))
        const own = { userId: undefined, client: undefined, pool: undefined }
        return { ...own, agent: { id: 'silent', exec }, answerSeconds: 1 }
      }

      test('does not delay the answer of stop', async () => {
        await using mcp = await connect(silent())
        const first = await mcp.call('run_code', bash('true'))
        const stopped = await mcp.call('stop', { callId: callIdOf(first) })
        expect(textOf(stopped)).toMatch(/^\[still running after \d+ s: call wait with callId call_1 /)
      })

      test('does not delay the output that would be saved in it', async () => {
        const results = [{ stdout: 'x'.repeat(40_000), stderr: '', exitCode: 0, durationMs: 1 }]
        await using mcp = await connect(silent(() => results.shift()))
        const { structuredContent, content } = await mcp.call('run_code', bash('true'))
        expect([structuredContent?.['stdoutTruncated'], content.length]).toEqual([true, 1])
      })
    })

    test.each([0, 1.5, 3601])('answerSeconds %s is refused', async (answerSeconds) => {
      await expect(connect({ answerSeconds })).rejects.toThrow('a whole number from 1 to 3600')
    })
  })

  describe('progress', () => {
    test('output arrives while the code runs, and the progress value grows', async () => {
      await using mcp = await connect()
      const seen: { progress: number; message?: string | undefined }[] = []
      const code = 'for n in 1 2 3 4 5 6; do echo line $n; sleep 0.15; done'
      await mcp.call('run_code', { language: 'bash', code }, { onprogress: (progress) => seen.push(progress) })
      expect(seen.length).toBeGreaterThan(2)
      expect(seen.map(({ progress }) => progress)).toEqual(seen.map((_, index) => index + 1))
      expect(seen[0]?.message).toBe('line 1')
      expect(seen.at(-1)?.message).toBe([1, 2, 3, 4, 5, 6].map((n) => `line ${n}`).join('\n'))
    })

    test('a client that did not request progress receives none', async () => {
      await using mcp = await connect()
      const seen: unknown[] = []
      mcp.onProgress((progress) => seen.push(progress))
      expect(await mcp.bash('echo hello')).toBe('hello')
      expect(seen).toEqual([])
    })
  })

  describe('images', () => {
    test('an image that the code saved is sent as an image, once', async () => {
      await using mcp = await connect()
      const result = await mcp.call('run_code', { language: 'python', code: saveNoisePng('dot.png', 2) })
      expect(result.content).toMatchObject([
        { type: 'text', text: expect.stringMatching(/^\[files made or changed: \/workspace\/dot.png/) },
        { type: 'image', mimeType: 'image/png', data: expect.stringMatching(/^iVBORw0KGgo/) },
      ])
      expect(result.structuredContent).toMatchObject({ exitCode: 0, files: [{ path: '/workspace/dot.png' }] })
      expect(JSON.stringify(result.structuredContent)).not.toContain('iVBORw0KGgo')
    })

    test('with images switched off, the text names the image', async () => {
      await using mcp = await connect({ images: false })
      const result = await mcp.call('run_code', { language: 'python', code: saveNoisePng('dot.png', 2) })
      expect(result.content).toHaveLength(1)
      expect(textOf(result)).toContain('[image not shown: /workspace/dot.png: images are switched off here]')
    })

    test('an image that is too large for a result is linked and named, and the link returns its exact bytes', async () => {
      await using mcp = await connect()
      const code = `${saveNoisePng('large.png', 700)}${saveNoisePng('small.png', 20)}`
      const result = await mcp.call('run_code', { language: 'python', code })
      expect(JSON.stringify(result).length).toBeLessThan(1_000_000)
      const [text, link, image] = result.content
      expect(image).toMatchObject({ type: 'image', mimeType: 'image/png' })
      const agentId = agentIdOf(result)
      if (link?.type !== 'resource_link') throw new Error(`not a link: ${JSON.stringify(link)}`)
      expect(link).toMatchObject({
        uri: `theazo://agents/${agentId}/files/workspace/large.png`,
        name: 'large.png',
        mimeType: 'image/png',
      })
      expect(text).toMatchObject({
        text: expect.stringContaining('[image linked, not shown: /workspace/large.png has'),
      })

      const { contents } = await mcp.client.readResource({ uri: link.uri })
      const [content] = contents
      if (!content || !('blob' in content)) throw new Error('not a blob')
      const bytes = Buffer.from(content.blob, 'base64')
      expect([content.uri, content.mimeType, bytes.length]).toEqual([link.uri, 'image/png', link.size])
      expect(await mcp.bash('sha256sum < large.png')).toContain(createHash('sha256').update(bytes).digest('hex'))
    })

    test('a large image of read_file is linked too', async () => {
      await using mcp = await connect()
      await mcp.call('run_code', { language: 'python', code: saveNoisePng('/home/agent/a b.png', 700) })
      const result = await mcp.call('read_file', { path: '~/a b.png' })
      const [, link] = result.content
      if (link?.type !== 'resource_link') throw new Error(`not a link: ${JSON.stringify(link)}`)
      expect(link.uri).toMatch(/\/files\/home\/agent\/a%20b.png$/)
      const { contents } = await mcp.client.readResource({ uri: link.uri })
      expect(contents).toMatchObject([{ mimeType: 'image/png' }])
    })
  })

  describe('size', () => {
    test('a result with control characters and long names stays below 1,000,000 bytes and passes its schema', async () => {
      await using mcp = await connect()
      const code = `
import os, sys
folder = '/workspace/' + '/'.join(['\\x01' * 250] * 14)
os.makedirs(folder)
os.chdir(folder)
for n in range(100):
    open('\\x02' * 240 + str(n), 'w').write('x')
sys.stdout.write('\\x03' * 30000)
sys.stderr.write('\\x04' * 30000)
print('end', file=sys.stderr)
sys.exit(7)
`
      const result = await mcp.call('run_code', { language: 'python', code })
      expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThan(1_000_000)
      expect(result.structuredContent).toMatchObject({ exitCode: 7, filesTruncated: true })
      expect(textOf(result)).toMatch(/\[exit code 7\]\n\[the whole output is in [^\n]*\]$/)
    })
  })

  describe('large output', () => {
    test('output that is cut is saved in the sandbox, and the link returns all of it', async () => {
      await using mcp = await connect()
      const result = await mcp.call('run_code', { language: 'bash', code: 'seq 20000; echo error >&2' })
      const [text, link, ...more] = result.content
      expect(more).toEqual([])
      const note = /\n\[the whole output is in (\/home\/agent\/.theazo\/\w+-stdout.txt); read_file reads parts of it\]$/
      expect(text).toMatchObject({ text: expect.stringMatching(note) })
      if (link?.type !== 'resource_link') throw new Error(`not a link: ${JSON.stringify(link)}`)
      const { contents } = await mcp.client.readResource({ uri: link.uri })
      const numbers = Array.from({ length: 20000 }, (_, index) => `${index + 1}\n`).join('')
      expect(contents).toEqual([{ uri: link.uri, mimeType: 'text/plain', text: numbers }])
      expect(link).toMatchObject({ mimeType: 'text/plain', size: numbers.length })
      const [, path = ''] = note.exec(textOf(result)) ?? []
      expect(textOf(await mcp.call('read_file', { path, startLine: 9000, lineCount: 1 }))).toMatch(/^9000\n/)
    })

    test('of more than 4 MB the first 4 MB are saved, and the note says so', async () => {
      await using mcp = await connect()
      const code = "print('a' + 'ü' * 3_000_000)"
      const result = await mcp.call('run_code', { language: 'python', code })
      expect(textOf(result)).toMatch(/\[the first 3999999 bytes of the output is in .*\]$/)
      const link = result.content.find(({ type }) => type === 'resource_link')
      const { contents } = await mcp.client.readResource({ uri: (link as { uri: string }).uri })
      expect(contents).toMatchObject([{ text: `a${'ü'.repeat(1_999_999)}` }])
    })

    test('if the output cannot be saved, the result has no link', async () => {
      await using mcp = await connect()
      const code = 'rm -rf ~/.theazo; touch ~/.theazo; seq 20000'
      const result = await mcp.call('run_code', { language: 'bash', code })
      expect([result.isError, result.content.length]).toEqual([undefined, 1])
    })
  })

  describe('agents', () => {
    test('only agents whose ids the client has received can be named; the error lists them', async () => {
      const session = await theazo.sessions.forUser('in-process')
      await using other = await session.agents.create()
      await using mcp = await connect({ groups: ['code', 'lifecycle'] })
      const refused = await mcp.call('terminate_agent', { agentId: other.id })
      expect([refused.isError, textOf(refused)]).toEqual([
        true,
        `There is no sandbox ${other.id} of this user; there are none yet.`,
      ])
      expect((await other.refresh()).data.status).toBe('idle')
      const own = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'true' }))
      expect(textOf(await mcp.call('pause_agent', { agentId: other.id }))).toMatch(`; there are ${own}.`)
      expect(textOf(await mcp.call('pause_agent', { agent_id: other.id }))).toMatch(`; there are ${own}.`)
      await mcp.call('list_agents')
      expect(textOf(await mcp.call('get_agent', { agentId: other.id }))).toBe(`${other.id} is idle.`)
    })

    test('the files of an additional agent are resources too', async () => {
      await using mcp = await connect({ groups: ['lifecycle'] })
      const agentId = agentIdOf(await mcp.call('create_agent', { name: 'additional' }))
      await theazo.agent(agentId).files.write('/workspace/note.txt', 'hello')
      const { contents } = await mcp.client.readResource({ uri: fileUri({ agentId, path: 'note.txt' }) })
      expect(contents).toMatchObject([{ text: 'hello' }])
      await mcp.call('terminate_agent', { agentId })
    })
  })

  describe('files as resources', () => {
    test('a file with any name is read by its URI: text as text, other bytes as base64', async () => {
      await using mcp = await connect()
      const { resourceTemplates } = await mcp.client.listResourceTemplates()
      expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toContain(
        'theazo://agents/{agentId}/files/{+path}',
      )
      const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: "printf 'a\\0b' > data" }))
      for (const path of ['/workspace/a b/100%.txt', '/workspace/ü/#1?x=%41&y.txt', '/tmp/日本\n語.md']) {
        const written = await mcp.call('write_file', { path, content: `in ${path}` })
        expect(written.isError).toBeFalsy()
        const { contents } = await mcp.client.readResource({ uri: fileUri({ agentId, path }) })
        expect(contents).toMatchObject([{ text: `in ${path}`, mimeType: expect.stringMatching(/^text\//) }])
      }
      const { contents } = await mcp.client.readResource({ uri: fileUri({ agentId, path: 'data' }) })
      expect(contents).toMatchObject([{ blob: 'YQBi', mimeType: 'application/octet-stream' }])
    })

    test('text of control characters is sent as base64, which is shorter', async () => {
      await using mcp = await connect()
      const code = "import sys; open('bell', 'w').write('\\x07' * 2_000_000)"
      const agentId = agentIdOf(await mcp.call('run_code', { language: 'python', code }))
      const { contents } = await mcp.client.readResource({ uri: fileUri({ agentId, path: 'bell' }) })
      expect(contents).toMatchObject([{ blob: expect.stringMatching(/^BwcHBwcH/) }])
    })

    test('only files of agents whose ids the client has received can be read; the error names the valid ids', async () => {
      const session = await theazo.sessions.forUser('in-process')
      await using other = await session.agents.create()
      await other.files.write('/workspace/secret', 'not for you')
      await using mcp = await connect()
      const uri = fileUri({ agentId: other.id, path: '/workspace/secret' })
      await expect(mcp.client.readResource({ uri })).rejects.toThrow(`${other.id} is not an agent of this server`)
      const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'true' }))
      await expect(mcp.client.readResource({ uri })).rejects.toThrow(`Valid: ${agentId}.`)
    })

    test('the error for an agent that is gone names the current agent', async () => {
      await using mcp = await connect()
      const before = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'echo 1 > one' }))
      await theazo.agent(before).terminate()
      const read = mcp.client.readResource({ uri: fileUri({ agentId: before, path: 'one' }) })
      await expect(read).rejects.toThrow(new RegExp(`${before} is gone.*The current agent is agt_`))
    })

    test('a missing file, a file that is too large and a URI outside the sandbox are errors that state the reason', async () => {
      await using mcp = await connect()
      const code = 'truncate -s 4000000 most; truncate -s 4000001 large'
      const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code }))
      const read = (path: string) => mcp.client.readResource({ uri: fileUri({ agentId, path }) })
      expect((await read('most')).contents).toHaveLength(1)
      await expect(read('large')).rejects.toThrow(/has 4000001 bytes; the limit is 4000000.*run_code/)
      await expect(read('none')).rejects.toThrow(/none/)
      await expect(mcp.client.readResource({ uri: 'file:///etc/passwd' })).rejects.toThrow(
        'not a resource of this server',
      )
    })
  })

  describe('agents and usage as resources', () => {
    const textOfResource = async ({ client }: TestClient, uri: string) => {
      const { contents } = await client.readResource({ uri })
      expect(contents).toEqual([{ uri, mimeType: 'application/json', text: expect.any(String) }])
      return JSON.parse((contents[0] as { text: string }).text)
    }

    test('the list has the agents and the usage, and each agent that the client knows', async () => {
      await using mcp = await connect({ userId: 'resources' })
      const uris = async () => (await mcp.client.listResources()).resources.map(({ uri }) => uri)
      expect(await uris()).toEqual(['theazo://agents', 'theazo://usage'])
      expect(await textOfResource(mcp, 'theazo://agents')).toEqual({ agents: [] })
      expect(await textOfResource(mcp, 'theazo://usage')).toMatchObject({ usage: { total: { amount: 0 } } })

      const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'true' }))
      expect(await uris()).toContain(`theazo://agents/${agentId}`)
      expect(await textOfResource(mcp, 'theazo://agents')).toEqual({ agents: [{ agentId, status: 'idle' }] })
      expect(await textOfResource(mcp, `theazo://agents/${agentId}`)).toMatchObject({ agentId, status: 'idle' })
      await theazo.agent(agentId).terminate()
      expect(await textOfResource(mcp, `theazo://agents/${agentId}`)).toMatchObject({ agentId, status: 'terminated' })
    })

    test('a sandbox that is not an agent has its id, with any characters', async () => {
      const exec: ToolSandbox['exec'] = async () => ({ stdout: '', stderr: '', exitCode: 0, durationMs: 1 })
      const agent = { id: 'my box/1', exec }
      await using mcp = await connect({ userId: undefined, client: undefined, pool: undefined, agent })
      const uri = 'theazo://agents/my%20box%2F1'
      expect((await mcp.client.listResources()).resources.map((resource) => resource.uri)).toContain(uri)
      expect(await textOfResource(mcp, uri)).toEqual({ agentId: 'my box/1' })
      expect(await textOfResource(mcp, 'theazo://agents')).toEqual({ agents: [{ agentId: 'my box/1' }] })
    })

    test('an agent that the client does not know and another URI are refused with what is valid', async () => {
      await using mcp = await connect()
      await expect(mcp.client.readResource({ uri: 'theazo://agents/agt_other' })).rejects.toThrow(
        'No sandbox exists yet',
      )
      await expect(mcp.client.readResource({ uri: 'theazo://money' })).rejects.toThrow(/There are theazo:\/\/agents, /)
    })

    // A client of protocol 2026-07-28 receives no answer of the server to what it listens to.
    test.runIf(connectInProcess === connectV1)('only the status of a sandbox can be subscribed to', async () => {
      await using mcp = await connect()
      await expect(mcp.watch('theazo://usage', () => {})).rejects.toThrow('Only the status of a sandbox')
    })

    test('a subscriber is told of a change of status until it unsubscribes', async () => {
      await using mcp = await connect()
      const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'true' }))
      const uri = `theazo://agents/${agentId}`
      const updates: string[] = []
      const unsubscribe = await mcp.watch(uri, (uri) => updates.push(uri))
      const agent = await theazo.agents.get(agentId)
      // A change before the stream is connected is not reported, so change until one is.
      await expect
        .poll(async () => {
          await agent.pause()
          await agent.resume()
          return updates
        })
        .toContain(uri)
      await unsubscribe()
      const before = updates.length
      await agent.terminate()
      expect(await mcp.bash('echo fine')).toMatch('fine') // a later answer: no update can still be on its way
      expect(updates.length).toBe(before)
    })
  })

  describe('prompts and completion', () => {
    test('prompts have arguments, and an argument that is missing is named', async () => {
      await using mcp = await connect()
      const { prompts } = await mcp.client.listPrompts()
      expect(prompts.map(({ name }) => name)).toEqual(['analyze_file', 'fix_and_test'])
      const prompt = await mcp.client.getPrompt({ name: 'analyze_file', arguments: { path: '/workspace/a.csv' } })
      expect(prompt.messages).toMatchObject([
        { role: 'user', content: { text: expect.stringContaining('/workspace/a.csv') } },
      ])
      await expect(mcp.client.getPrompt({ name: 'fix_and_test' })).rejects.toThrow('fix_and_test needs command.')
      await expect(mcp.client.getPrompt({ name: 'other' })).rejects.toThrow(
        "There is no prompt 'other'. Valid: analyze_file,",
      )
    })

    test('a server without run_code has no prompts', async () => {
      await using mcp = await connect({ groups: ['usage'] })
      expect(mcp.client.getServerCapabilities()?.prompts).toBeUndefined()
    })

    test('paths and agent ids are completed from the sandbox, and without a sandbox nothing is created', async () => {
      await using mcp = await connect({ userId: 'completion' })
      const ofPrompt = async (value: string) => {
        const ref = { type: 'ref/prompt' as const, name: 'analyze_file' }
        return (await mcp.client.complete({ ref, argument: { name: 'path', value } })).completion.values
      }
      expect(await ofPrompt('/work')).toEqual([])
      expect((await theazo.sessions.list({ userId: 'completion' }).page()).data).toEqual([])

      const session = await theazo.sessions.forUser('completion')
      await using _older = await session.agents.create()
      const code = 'mkdir folder; touch folder/a.csv folder/b.txt'
      const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code }))
      expect(await ofPrompt('')).toEqual(['/workspace/folder/'])
      expect(await ofPrompt('/workspace/folder/a')).toEqual(['/workspace/folder/a.csv'])
      expect(await ofPrompt('/none/')).toEqual([])
      const ofTemplate = async (name: string, value: string, known = {}) => {
        const ref = { type: 'ref/resource' as const, uri: 'theazo://agents/{agentId}/files/{+path}' }
        const context = { arguments: known }
        return (await mcp.client.complete({ ref, argument: { name, value }, context })).completion.values
      }
      expect(await ofTemplate('agentId', 'agt')).toEqual([agentId])
      expect(await ofTemplate('path', 'workspace/folder/', { agentId })).toEqual([
        'workspace/folder/a.csv',
        'workspace/folder/b.txt',
      ])
      expect(await ofTemplate('path', 'workspace/', { agentId: 'agt_other' })).toEqual([])
      await mcp.client.readResource({ uri: 'theazo://agents' }) // the client then knows the older agent too
      expect(await ofPrompt('')).toEqual(['/workspace/folder/'])
    })
  })

  describe('approval', () => {
    /** Connects a client whose user answers every question with this action. */
    async function connectUser(action: 'accept' | 'decline' | 'cancel') {
      const asked: string[] = []
      const mcp = await connect({ approve: ['run_code'] }, { canAsk: true })
      mcp.onQuestion((message) => {
        asked.push(message)
        return action
      })
      return { asked, mcp }
    }
    const code = { language: 'bash', code: 'echo ran' }

    test('a tool runs after the user has approved the call, which the question shows', async () => {
      const { asked, mcp } = await connectUser('accept')
      await using _connection = mcp
      expect(textOf(await mcp.call('run_code', code))).toBe('ran')
      expect(asked).toEqual([expect.stringMatching(/^Run code\?\n[^]*echo ran/)])
      await mcp.call('list_files')
      expect(asked).toHaveLength(1)
    })

    test.each(['decline', 'cancel'] as const)('after %s it does not run', async (action) => {
      const { mcp } = await connectUser(action)
      await using _connection = mcp
      const result = await mcp.call('run_code', code)
      expect([result.isError, textOf(result)]).toEqual([
        true,
        'run_code did not run: the user declined. Do not retry; ask the user what to do instead.',
      ])
    })

    test('a question that shows only a part of the input says so', async () => {
      const { asked, mcp } = await connectUser('accept')
      await using _connection = mcp
      await mcp.call('run_code', { language: 'bash', code: `echo ran # ${'x'.repeat(3000)}` })
      expect(asked).toEqual([expect.stringMatching(/^Run code\?\nWARNING: you see only a part of this input\..*\n{/)])
    })

    test('invalid input is not asked about', async () => {
      const { asked, mcp } = await connectUser('accept')
      await using _connection = mcp
      const result = await mcp.call('run_code', { language: 'ruby', code: 'puts 1' })
      expect([result.isError, textOf(result), asked]).toEqual([true, expect.stringMatching(/language must be/), []])
    })

    // In protocol 2026-07-28 a call does not run while its user decides.
    test.runIf(connectInProcess === connectV1)('stop ends a call that waits for the answer of the user', async () => {
      await using mcp = await connect({ approve: ['run_code'], answerSeconds: 1 }, { canAsk: true })
      mcp.onQuestion(() => new Promise(() => {}))
      const running = await mcp.call('run_code', code)
      const callId = String(running.structuredContent?.['callId'])
      const stopped = await mcp.call('stop', { callId })
      expect([stopped.isError, textOf(stopped)]).toEqual([
        undefined,
        expect.stringMatching(/^\[stopped after \d+ s\]$/),
      ])
      expect(textOf(await mcp.call('wait', { callId }))).toMatch(/No call waits for an answer\.$/)
    })

    test('a client that cannot ask is refused', async () => {
      await using mcp = await connect({ approve: ['run_code'] })
      const result = await mcp.call('run_code', code)
      expect([result.isError, textOf(result)]).toEqual([true, expect.stringMatching(/this MCP client cannot ask/)])
    })
  })

  describe('logging', () => {
    test('failed calls are logged, and at debug every call, without input, output and text of errors', async () => {
      await using mcp = await connect()
      const logged: object[] = []
      mcp.onLog((params) => logged.push(params))
      await mcp.bash('echo secret')
      expect(logged).toEqual([])
      expect(textOf(await mcp.call('run_code', { language: 'secret', code: 'secret' }))).toContain('secret')
      const failed = { tool: 'run_code', message: 'failed', code: 'tool_input', durationMs: expect.any(Number) }
      expect(logged).toEqual([{ level: 'warning', logger: 'theazo', data: failed }])
      logged.length = 0
      await mcp.call('write_file', { path: 'lines', content: 'one\nsecret  text\n' })
      const edit = await mcp.call('edit_file', { path: 'lines', oldText: 'secret text', newText: 'three' })
      expect([edit.isError, textOf(edit)]).toEqual([true, expect.stringContaining('secret')])
      expect(logged).toMatchObject([{ level: 'warning', data: { tool: 'edit_file', message: 'failed' } }])
      await mcp.setLogLevel('debug')
      await mcp.bash('echo secret')
      expect(logged.slice(1)).toMatchObject([
        { level: 'debug', data: { tool: 'run_code', message: 'started' } },
        { level: 'debug', data: { tool: 'run_code', message: 'answered' } },
      ])
      await mcp.setLogLevel('error')
      await mcp.call('run_code', { language: 'ruby', code: 'secret' })
      expect(logged).toHaveLength(3)
      expect(JSON.stringify(logged)).not.toContain('secret')
    })
  })
})
