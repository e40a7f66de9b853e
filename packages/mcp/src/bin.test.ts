import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Theazo } from '@theazo/core'
import { listenTheazo, type ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectHttp, connectHttpV2, initialize, post } from './testing/http-server.ts'
import { bin, type McpProcess, startProcess, startProcessV2 } from './testing/mcp-process.ts'
import { agentIdOf, textOf } from './testing/test-client.ts'
import { startIssuer } from './testing/test-issuer.ts'
import { startProxy } from './testing/test-proxy.ts'

let server: ListeningTheazo
let theazo: Theazo
/** Environment of a process that uses the server with its live key. */
let live: Record<string, string>
beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  const { url: baseUrl, apiKey } = server
  theazo = new Theazo({ baseUrl, apiKey })
  live = { THEAZO_BASE_URL: baseUrl, THEAZO_API_KEY: apiKey }
})
afterAll(async () => await server[Symbol.asyncDispose]())

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const statusOf = async (agentId: string) => (await theazo.agents.get(agentId)).data.status
const run = (code: string) => ({ language: 'bash', code })

/** Runs the program to its end, without a client. */
async function runToEnd(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [bin, ...args], { env: { PATH: process.env['PATH'], ...env } })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  const [code] = await once(child, 'close')
  return { code, out, err }
}

/** A client of each version of the SDK. The program answers each with the version of the protocol that it speaks. */
const clients = [
  ['version 1 of the SDK', startProcess],
  ['version 2 of the SDK', startProcessV2],
] as const

/** Starts `theazo-mcp http` on a free port. */
async function startHttp(args: string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [bin, 'http', '--port', '0', ...args], {
    env: { PATH: process.env['PATH'], ...env },
  })
  let err = ''
  child.stderr.on('data', (chunk) => (err += chunk))
  const exited = once(child, 'exit')
  const [line] = (await Promise.race([once(child.stdout, 'data'), exited])) as [Buffer | number]
  const url = String(line).trim()
  if (!url.startsWith('http://')) throw new Error(`It did not start: ${err}`)
  return { child, url, exited, stderr: () => err }
}

describe.each(clients)('tools, with %s', (version, startProcess) => {
  test('all 19 tools are listed; the tools for code, files, usage and agents work on a real sandbox', async () => {
    await using mcp = await startProcess(['--toolsets', 'all', '--user-id', `everything, ${version}`], live)
    const { tools } = await mcp.client.listTools()
    expect(tools).toHaveLength(19)
    const text = async (name: string, input = {}) => textOf(await mcp.call(name, input))

    const first = await mcp.call('run_code', run('echo hello | tee hello.txt'))
    expect(textOf(first)).toBe('hello\n[files made or changed: /workspace/hello.txt (6 bytes)]')
    expect(await text('write_file', { path: 'list.txt', content: 'one\ntwo\n' })).toMatch('Wrote list.txt')
    expect(await text('edit_file', { path: 'list.txt', oldText: 'two', newText: 'three' })).toMatch('at line 2')
    expect(await text('read_file', { path: '/workspace/list.txt' })).toBe('one\nthree\n')
    expect(await text('list_files')).toBe('hello.txt (6 bytes)\nlist.txt (10 bytes)')
    expect(await text('delete_file', { path: 'hello.txt' })).toMatch('Deleted hello.txt')
    expect(await mcp.bash('ls')).toBe('list.txt')

    expect(await text('get_usage')).toMatch(/^Spent: \$/)
    const agentId = agentIdOf(first)
    expect(await text('get_agent')).toBe(`${agentId} is idle.`)
    expect(await text('pause_agent')).toBe(`${agentId} is paused.`)
    expect(await text('resume_agent')).toBe(`${agentId} is idle.`)
    const second = await mcp.call('create_agent', { name: 'second' })
    expect(textOf(second)).toBe(`${agentIdOf(second)} (second) is idle.`)
    expect((await text('list_agents')).split('\n')).toEqual([textOf(second), `${agentId} is idle.`])
    expect(await text('terminate_agent')).toBe(`${agentId} is terminated.`)
    expect(await statusOf(agentId)).toBe('terminated')
    expect(await mcp.bash('ls')).toMatch(/^\[The sandbox of earlier calls is gone: it was ended\./)
  })

  test('the tools for tasks work on an agent with a model', async () => {
    const { key } = await server.keys.create({ mode: 'test', plan: 'team' })
    await using mcp = await startProcess(['--toolsets', 'task,background-tasks'], { ...live, THEAZO_API_KEY: key })
    const text = async (name: string, input = {}) => textOf(await mcp.call(name, input))
    expect(await text('run_task', { task: 'Count to three.' })).toMatch(/^Mocked answer .*Count to three\.\n\[cost/s)

    const { structuredContent } = await mcp.call('start_task', { task: 'theazo:hang' })
    const taskId = structuredContent?.['taskId']
    expect(await text('get_task', { taskId })).toMatch(/ is (queued|running)\./)
    expect(await text('cancel_task', { taskId })).toBe(`Cancelled ${taskId}.`)
    await expect.poll(() => text('get_task', { taskId })).toMatch(' is cancelled.')
  })

  test('a long task answers with its id, and stop cancels it', async () => {
    const { key } = await server.keys.create({ mode: 'test', plan: 'team' })
    const args = ['--toolsets', 'task,lifecycle', '--answer-within', '1']
    await using mcp = await startProcess(args, { ...live, THEAZO_API_KEY: key })
    const first = await mcp.call('run_task', { task: 'theazo:hang' })
    expect(textOf(first)).toMatch(/\[still running after \d+ s: call wait with callId call_1 /)
    expect(first.structuredContent).toMatchObject({ isRunning: true, callId: 'call_1' })
    const mocked = new Theazo({ baseUrl: server.url, apiKey: key })
    const agent = await mocked.agents.get(agentIdOf(first))
    expect(agent.data.task?.status).toBe('running')
    expect(textOf(await mcp.call('stop', { callId: 'call_1' }))).toMatch(/\[stopped after \d+ s\]$/)
    await expect.poll(async () => (await agent.refresh()).data.task?.status).toBe('cancelled')
  })

  test('all calls use one sandbox, even if the first calls arrive at the same time', async () => {
    await using mcp = await startProcess(['--local'])
    const first = await Promise.all([1, 2, 3].map((n) => mcp.call('run_code', run(`echo ${n} > ${n}`))))
    const last = await mcp.call('run_code', run('cat 1 2 3'))
    expect(last.structuredContent).toMatchObject({ stdout: '1\n2\n3\n' })
    expect(new Set([...first, last].map(agentIdOf)).size).toBe(1)
  })

  test('--read-only offers only tools that change nothing, and --no-images sends no image', async () => {
    await using reader = await startProcess(['--read-only'], live)
    expect((await reader.client.listTools()).tools.map(({ name }) => name)).toEqual(['read_file', 'list_files', 'wait'])
    await using withoutImages = await startProcess(['--no-images'], live)
    const gif = 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
    const result = await withoutImages.call('run_code', run(`echo ${gif} | base64 -d > dot.gif`))
    expect(result.content).toHaveLength(1)
    expect(textOf(result)).toMatch('[image not shown: /workspace/dot.gif: images are switched off here]')
  })

  test('every progress notification arrives before the result', async () => {
    await using mcp = await startProcess([], live)
    await mcp.bash('true')
    let arrived = 0
    for (let n = 1; n <= 30; n += 1) {
      const seen: unknown[] = []
      await mcp.call('run_code', run(`echo number ${n}`), { onprogress: (progress) => seen.push(progress) })
      const all = [{ progress: 1, message: `number ${n}` }]
      // In protocol 2026-07-28 the server cannot ask the client whether it has handled a notification.
      if (startProcess === startProcessV2 && seen.length === 0) continue
      expect(seen).toEqual(all)
      arrived += 1
    }
    expect(arrived).toBeGreaterThan(0)
  })
})

describe.each(clients)('the end of the process, with %s', (_version, startProcess) => {
  /** Starts a process with a sandbox, runs `end`, waits until the process has exited, and returns the sandbox's status. */
  async function statusAfter(end: (mcp: McpProcess) => unknown): Promise<string> {
    await using mcp = await startProcess([], live)
    const agentId = agentIdOf(await mcp.call('run_code', run('true')))
    expect(await statusOf(agentId)).toBe('idle')
    await end(mcp)
    await expect.poll(() => isAlive(mcp.pid)).toBe(false)
    return await statusOf(agentId)
  }

  test('a client that closes the connection ends the process and its sandbox', async () => {
    expect(await statusAfter(({ client }) => client.close())).toBe('terminated')
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s ends the process and its sandbox', async (signal) => {
    expect(await statusAfter(({ pid }) => process.kill(pid, signal))).toBe('terminated')
  })

  test('a line over 10 MiB, after which the transport stops reading, ends the process and its sandbox', async () => {
    const status = await statusAfter(async (mcp) => {
      await expect(mcp.bash('x'.repeat(11 * 1024 * 1024))).rejects.toThrow('Connection closed')
      expect(mcp.stderr()).toMatch('exceeded maximum size')
    })
    expect(status).toBe('terminated')
  })

  test('a call in flight does not delay the end', async () => {
    const status = await statusAfter(async (mcp) => {
      const started = Promise.withResolvers<void>()
      const call = mcp.call('run_code', run('echo started; sleep 59'), { onprogress: () => started.resolve() })
      const failed = call.catch((error: unknown) => error)
      await started.promise
      await mcp.client.close()
      expect(await failed).toMatchObject({ message: expect.stringContaining('Connection closed') })
    })
    expect(status).toBe('terminated')
  })

  test('a client that is killed in the middle of a run leaves no sandbox and no process', async () => {
    const program = `
      import * as clients from ${JSON.stringify(new URL('./testing/mcp-process.ts', import.meta.url).href)}
      const mcp = await clients.${startProcess === startProcessV2 ? 'startProcessV2' : 'startProcess'}([], ${JSON.stringify(live)})
      const agentId = (await mcp.call('run_code', { language: 'bash', code: 'true' })).structuredContent.agentId
      const onprogress = () => console.log(JSON.stringify({ agentId, pid: mcp.pid }))
      await mcp.call('run_code', { language: 'bash', code: 'echo started; sleep 59' }, { onprogress })`
    const client = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(client.stdout, 'data')) as [Buffer]
    const { agentId, pid } = JSON.parse(line.toString()) as { agentId: string; pid: number }
    expect(await statusOf(agentId)).toBe('idle')
    client.kill('SIGKILL')
    await expect.poll(() => statusOf(agentId)).toBe('terminated')
    await expect.poll(() => isAlive(pid)).toBe(false)
  })
})

describe('the end of the process', () => {
  test('the process exits after 15 seconds even if the server does not respond', async () => {
    await using proxy = await startProxy(server.url, { isUnanswered: ({ url = '' }) => url.endsWith('/terminate') })
    const mcp = await startProcess(['--idle-timeout', '77'], { ...live, THEAZO_BASE_URL: proxy.url })
    await mcp.bash('true')
    process.kill(mcp.pid, 'SIGTERM')
    await expect.poll(() => isAlive(mcp.pid)).toBe(false)
    expect(mcp.stderr()).toMatch('did not end within 15 s. The server ends it after 77 s without use.')
  })

  test('a client that is gone before its first message ends the process', async () => {
    const child = spawn(process.execPath, [bin], { env: { PATH: process.env['PATH'], ...live } })
    child.stdin.end()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('a client that stops reading ends the process; a line that is not a message does not', async () => {
    const child = spawn(process.execPath, [bin], { env: { PATH: process.env['PATH'], ...live } })
    const exited = once(child, 'exit')
    const ping = (id: number) => `${JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' })}\n`
    child.stdin.write(`not a message\n${ping(1)}`)
    const [answer] = (await once(child.stdout, 'data')) as [Buffer]
    expect(JSON.parse(answer.toString())).toEqual({ jsonrpc: '2.0', id: 1, result: {} })
    child.stdout.destroy()
    child.stdin.write(ping(2))
    expect(await exited).toEqual([0, null])
  })

  test('the server ends the sandbox of a killed process after the idle timeout', async () => {
    const mcp = await startProcess(['--idle-timeout', '60'], live)
    const agentId = agentIdOf(await mcp.call('run_code', run('true')))
    process.kill(mcp.pid, 'SIGKILL')
    await expect.poll(() => isAlive(mcp.pid)).toBe(false)
    const { data } = await theazo.agents.get(agentId)
    expect(data).toMatchObject({ status: 'idle', idleTimeout: { seconds: 60, action: 'terminate' } })
  })
})

describe('http', () => {
  test('clients use their own keys; SIGTERM ends the process and every sandbox', async () => {
    const program = await startHttp([], { THEAZO_BASE_URL: server.url })
    const clients = await Promise.all([1, 2].map(() => connectHttp(program.url, server.apiKey)))
    const agents = await Promise.all(clients.map(async (mcp) => agentIdOf(await mcp.call('run_code', run('true')))))
    expect(new Set(agents).size).toBe(2)
    expect(await Promise.all(agents.map(statusOf))).toEqual(['idle', 'idle'])
    program.child.kill('SIGTERM')
    expect(await program.exited).toEqual([0, null])
    expect(await Promise.all(agents.map(statusOf))).toEqual(['terminated', 'terminated'])
    expect(program.stderr()).toBe('')
  })

  test('--local serves this machine with the token of the environment', async () => {
    const program = await startHttp(['--local'], { THEAZO_MCP_TOKEN: 'a-token-of-24-characters' })
    expect((await post(program.url, initialize)).status).toBe(401)
    const mcp = await connectHttp(program.url, 'a-token-of-24-characters')
    expect(await mcp.bash('echo fine')).toBe('fine')
    await mcp.client.close()
    program.child.kill('SIGTERM')
    expect(await program.exited).toEqual([0, null])
  })

  test('--oauth-issuer accepts its tokens; each subject has its own Theazo session', async () => {
    const audience = 'https://mcp.example.com/mcp'
    await using login = await startIssuer(audience)
    const flags = ['--oauth-issuer', login.issuer, '--oauth-audience', audience, '--oauth-scope', 'run']
    const program = await startHttp(flags, live)
    const refused = await post(program.url, initialize)
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer scope="run", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"',
    ])
    const metadata = await fetch(new URL('/.well-known/oauth-protected-resource/mcp', program.url))
    expect(await metadata.json()).toMatchObject({ resource: audience, authorization_servers: [login.issuer] })
    for (const claims of [{ exp: Date.now() / 1000 - 60 }, { aud: 'https://other.example.com' }]) {
      const headers = { authorization: `Bearer ${await login.sign(claims)}` }
      expect((await post(program.url, initialize, { headers })).status).toBe(401)
    }
    const headers = { authorization: `Bearer ${await login.sign({ scope: 'read' })}` }
    expect((await post(program.url, initialize, { headers })).status).toBe(403)

    const userOf = async (connect: typeof connectHttp | typeof connectHttpV2, sub: string) => {
      await using mcp = await connect(program.url, await login.sign({ sub }))
      const agent = await theazo.agents.get(agentIdOf(await mcp.call('run_code', run('true'))))
      return (await theazo.sessions.get(agent.data.sessionId)).data.userId
    }
    expect(await userOf(connectHttp, 'user_ada')).toBe('user_ada')
    expect(await userOf(connectHttpV2, 'user_bob')).toBe('user_bob')
    program.child.kill('SIGTERM')
    expect(await program.exited).toEqual([0, null])
  })

  test('a port in use ends the process with one line', async () => {
    const first = await startHttp(['--local'], {})
    const { port } = new URL(first.url)
    const second = await runToEnd(['http', '--local', '--port', port])
    expect(second).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^theazo-mcp: Cannot listen on .* in use.*\n$/),
    })
    first.child.kill('SIGTERM')
    await first.exited
  })
})

describe('--protocol', () => {
  /** Sends lines to the program, and returns the responses to as many of them. */
  async function exchange(args: string[], messages: object[], count = messages.length): Promise<unknown[]> {
    const child = spawn(process.execPath, [bin, ...args], { env: { PATH: process.env['PATH'], ...live } })
    const exited = once(child, 'exit')
    child.stdin.write(messages.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`).join(''))
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const answers: unknown[] = []
    while (answers.length < count) answers.push(JSON.parse(String((await lines.next()).value)))
    child.stdin.end()
    expect(await exited).toEqual([0, null])
    return answers
  }
  const discover = {
    id: 1,
    method: 'server/discover',
    params: {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    },
  }

  test('a client that asks for the new protocol and then initializes is served', async () => {
    const answers = await exchange([], [discover, { ...initialize, id: 2 }, { id: 3, method: 'ping' }])
    expect(answers).toMatchObject([
      { id: 1, result: { supportedVersions: ['2026-07-28'] } },
      { id: 2, result: { protocolVersion: '2025-11-25' } },
      { id: 3, result: {} },
    ])
  })

  test('2025-11-25 refuses a client of the new protocol, which may then initialize', async () => {
    const answers = await exchange(['--protocol', '2025-11-25'], [discover, { ...initialize, id: 2 }])
    expect(answers).toMatchObject([
      { id: 1, error: { code: -32_601 } },
      { id: 2, result: { protocolVersion: '2025-11-25' } },
    ])
  })

  test('2026-07-28 refuses a client that initializes, with the version that it speaks', async () => {
    const answers = await exchange(['--protocol', '2026-07-28'], [initialize, { ...discover, id: 2 }])
    expect(answers).toMatchObject([
      { id: 0, error: { code: -32_022, data: { supported: ['2026-07-28'] } } },
      { id: 2, result: { supportedVersions: ['2026-07-28'] } },
    ])
  })

  test('over HTTP without oauth clients initialize; with 2026-07-28 they must not', async () => {
    const old = await startHttp(['--local'], {})
    await expect(connectHttpV2(old.url)).rejects.toThrow('2026-07-28')
    old.child.kill('SIGTERM')
    const modern = await startHttp(['--local', '--protocol', '2026-07-28'], {})
    await using mcp = await connectHttpV2(modern.url)
    expect(await mcp.bash('echo fine')).toBe('fine')
    const refused = await post(modern.url, initialize)
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { code: -32_022 } }])
    modern.child.kill('SIGTERM')
    await Promise.all([old.exited, modern.exited])
  })
})

describe('the sandbox', () => {
  test('a sandbox that was terminated elsewhere is replaced, and the text reports that its files are lost', async () => {
    await using mcp = await startProcess([], live)
    const before = agentIdOf(await mcp.call('run_code', run('echo 1 > one')))
    await theazo.agent(before).terminate()
    const result = await mcp.call('run_code', run('ls'))
    expect(textOf(result)).toMatch(/^\[The sandbox of earlier calls is gone: .*files and processes are lost\.\]\n/)
    expect(result.structuredContent).toMatchObject({ stdout: '', notice: expect.stringContaining('are lost') })
    expect(agentIdOf(result)).not.toBe(before)
    expect(await mcp.bash('ls')).toBe('(no output)')
  })

  test('a sandbox that was paused elsewhere is resumed with its files', async () => {
    await using mcp = await startProcess([], live)
    const agentId = agentIdOf(await mcp.call('run_code', run('echo 1 > one')))
    await theazo.agent(agentId).pause()
    const result = await mcp.call('run_code', run('cat one'))
    expect([agentIdOf(result), result.structuredContent?.['stdout']]).toEqual([agentId, '1\n'])
  })

  test('a named sandbox is paused at the end, and the next process with that name has its files', async () => {
    const args = ['--sandbox', 'notes', '--user-id', 'ada', '--idle-timeout', '3600']
    const first = await startProcess(args, live)
    const agentId = agentIdOf(await first.call('run_code', run('echo remember > note.txt')))
    expect((await theazo.agents.get(agentId)).data).toMatchObject({
      name: 'notes',
      idleTimeout: { seconds: 3600, action: 'pause' },
    })
    await first.client.close()
    await expect.poll(() => isAlive(first.pid)).toBe(false)
    expect(await statusOf(agentId)).toBe('paused')

    await using second = await startProcess(args, live)
    expect(textOf(await second.call('read_file', { path: 'note.txt' }))).toBe('remember\n')
    expect(agentIdOf(await second.call('run_code', run('true')))).toBe(agentId)

    // A third process shares the sandbox while the second still runs, and pauses it when it ends.
    const third = await startProcess(args, live)
    expect(await third.bash('cat note.txt')).toBe('remember')
    await third.client.close()
    await expect.poll(() => statusOf(agentId)).toBe('paused')
    expect(await second.bash('cat note.txt')).toBe('remember')
  })

  test('on a server without extensions an unnamed sandbox works and ends with the process', async () => {
    await using plain = await startProxy(server.url, { hiddenHeaders: ['theazo-features'] })
    const env = { ...live, THEAZO_BASE_URL: plain.url }
    const mcp = await startProcess([], env)
    const results = await Promise.all([mcp.call('run_code', run('true')), mcp.call('run_code', run('true'))])
    expect(results.map(({ isError }) => isError)).toEqual([undefined, undefined])
    const [agentId = ''] = results.map(agentIdOf)
    await mcp.client.close()
    await expect.poll(() => statusOf(agentId)).toBe('terminated')
    await using named = await startProcess(['--sandbox', 'notes'], env)
    const refused = await named.call('run_code', run('true'))
    expect([refused.isError, textOf(refused)]).toEqual([true, expect.stringMatching(/agents\.create with a name/)])
  })
})

describe('doctor', () => {
  test('it checks the settings, the API and a sandbox, which it ends', async () => {
    const { code, out, err } = await runToEnd(['doctor', '--user-id', 'doctor'], live)
    expect([code, err]).toEqual([0, ''])
    expect(out.split('\n')).toEqual([
      expect.stringMatching(/^ok {6}Node: \d+\./),
      `ok      settings: ${server.url}, with an API key`,
      'ok      API: the key is accepted',
      'ok      sandbox: Python runs in it',
      '',
    ])
    const session = await theazo.sessions.forUser('doctor')
    const { data } = await session.agents.list().page()
    expect(data.map((agent) => agent.data.status)).toEqual(['terminated'])
  })

  test('it stops at the first fault, with what to do and without the key', async () => {
    const wrong = await runToEnd(['doctor'], { ...live, THEAZO_API_KEY: 'th_live_wrong-key' })
    expect([wrong.code, wrong.out]).toEqual([1, expect.stringMatching(/\nFAILED {2}API: .*Check THEAZO_API_KEY.*\n$/)])
    expect(wrong.out).not.toContain('wrong-key')
    const missing = await runToEnd(['doctor'])
    expect([missing.code, missing.out]).toEqual([1, expect.stringMatching(/\nFAILED {2}settings: .*--local.*\n$/)])
  })
})

describe('settings', () => {
  test('--help and --version are printed on standard output', async () => {
    expect(await runToEnd(['--help'])).toEqual({
      code: 0,
      err: '',
      out: expect.stringMatching(/^theazo-mcp .*--idle-timeout SECONDS.*\n$/s),
    })
    expect(await runToEnd(['--version'])).toEqual({ code: 0, err: '', out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })

  test('an unknown flag ends the process with one line on standard error', async () => {
    const ended = await runToEnd(['--colour'], live)
    expect(ended).toEqual({ code: 1, out: '', err: "theazo-mcp: Unknown option '--colour'. See theazo-mcp --help.\n" })
  })

  // oxlint-disable-next-line no-template-curly-in-string -- the placeholder that a client does not replace
  test.each(['', '${user_config.api_key}'])(
    'without a key (%j) and without --local the error states what to do',
    async (key) => {
      const { code, out, err } = await runToEnd([], { THEAZO_API_KEY: key })
      expect([code, out]).toEqual([1, ''])
      expect(err).toMatch(/^theazo-mcp: .*THEAZO_API_KEY.*--local.*\n$/)
    },
  )

  test('the user id comes from the flag, else from the environment, else it is mcp', async () => {
    const users = async (args: string[], env: Record<string, string>) => {
      await using mcp = await startProcess(args, { ...live, ...env })
      const agentId = agentIdOf(await mcp.call('run_code', run('true')))
      const { sessionId } = (await theazo.agents.get(agentId)).data
      return (await theazo.sessions.get(sessionId)).data.userId
    }
    expect(await users(['--user-id', 'flag'], { THEAZO_USER_ID: 'variable' })).toBe('flag')
    expect(await users([], { THEAZO_USER_ID: 'variable' })).toBe('variable')
    expect(await users([], { THEAZO_USER_ID: '' })).toBe('mcp')
    // oxlint-disable-next-line no-template-curly-in-string -- the placeholder that a client does not replace
    expect(await users([], { THEAZO_USER_ID: '${user_config.user_id}' })).toBe('mcp')
  })

  test('a wrong key is an error that a model can act on, and the error does not contain the key', async () => {
    await using mcp = await startProcess([], { ...live, THEAZO_API_KEY: 'th_live_wrong-key' })
    const result = await mcp.call('run_code', run('true'))
    expect(result.isError).toBe(true)
    expect(textOf(result)).toMatch(/unauthorized.*only the owner can fix this/s)
    expect(textOf(result)).not.toContain('wrong-key')
  })

  test('--local works without any environment variables', async () => {
    await using mcp = await startProcess(['--local'], {}, ['/usr/bin/env', '-i', process.execPath, bin])
    expect(await mcp.bash('echo fine')).toBe('fine')
  })
})
