// The server as a program: the behaviour that scripts depend on.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Theazo } from '@theazo/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startServer } from '../support/server-process.ts'

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'theazo-serve-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const serve = () => startServer('npm', ['run', '-s', 'serve', '--', '--port', '0', '--data-dir', dataDir, '--json'])
const bin = join(root, 'packages/server/dist/bin.js')

test('prints one line with url and key, serves, and ends cleanly if only that process gets a SIGTERM', async () => {
  const server = await serve()
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/)
  expect(server.apiKey).toMatch(/^th_live_/)
  const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
  const session = await theazo.sessions.forUser('serve')
  await using agent = await session.agents.create()
  expect((await agent.exec('bash', 'echo hi')).stdout).toBe('hi\n')
  await agent.terminate()

  server.child.kill('SIGTERM')
  expect(await server.ended).toBe(0)
  expect(server.output.out.trim().split('\n')).toHaveLength(1)
  // Every line of the log is JSON, none contains the key, and a closed database leaves no journal.
  const lines = server.output.err
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('{'))
  expect(lines.length).toBeGreaterThan(3)
  expect(server.output.err).not.toContain(server.apiKey)
  expect(readdirSync(dataDir)).not.toContain('theazo.db-wal')
  await expect(fetch(`${server.url}/agents/x`)).rejects.toThrow('fetch failed')
})

test('a restart on the same data folder has the same key, session, agent and files', async () => {
  let [sessionId, agentId, key] = ['', '', '']
  {
    await using server = await serve()
    key = server.apiKey
    const theazo = new Theazo({ baseUrl: server.url, apiKey: key })
    const session = await theazo.sessions.forUser('restart', { metadata: { plan: 'pro' } })
    const agent = await session.agents.create()
    await agent.exec('bash', 'echo kept > file')
    ;[sessionId, agentId] = [session.id, agent.id]
  }
  await using server = await serve()
  expect(server.apiKey).toBe(key)
  const theazo = new Theazo({ baseUrl: server.url, apiKey: key })
  expect((await theazo.sessions.get(sessionId)).data).toMatchObject({ userId: 'restart', metadata: { plan: 'pro' } })
  expect((await theazo.sessions.forUser('restart')).id).toBe(sessionId)
  await using agent = await theazo.agents.get(agentId)
  expect((await agent.exec('bash', 'cat file')).stdout).toBe('kept\n')
})

test('a second server on the same data folder is refused, and the first continues', async () => {
  await using first = await serve()
  const second = await serve().then(
    () => 'it started',
    (error: Error) => error.message,
  )
  expect(second).toMatch(/is in use by another server/)
  const session = await new Theazo({ baseUrl: first.url, apiKey: first.apiKey }).sessions.forUser('first')
  await using agent = await session.agents.create()
  expect((await agent.exec('bash', 'echo on')).stdout).toBe('on\n')
})

test('a restart without the key file creates a new key: the old key is refused, the sessions stay', async () => {
  const path = join(dataDir, 'api-key')
  let [oldKey, sessionId] = ['', '']
  {
    await using server = await serve()
    oldKey = server.apiKey
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8').trim()).toBe(oldKey)
    sessionId = (await new Theazo({ baseUrl: server.url, apiKey: oldKey }).sessions.forUser('u')).id
  }
  rmSync(path)
  await using server = await serve()
  expect(server.apiKey).not.toBe(oldKey)
  const options = { baseUrl: server.url }
  expect((await new Theazo({ ...options, apiKey: server.apiKey }).sessions.get(sessionId)).id).toBe(sessionId)
  await expect(new Theazo({ ...options, apiKey: oldKey }).sessions.get(sessionId)).rejects.toMatchObject({
    name: 'UnauthorizedError',
    status: 401,
  })
})

test('a body that is too large gets an answer, even while it is still being sent', async () => {
  await using server = await serve()
  const client = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
  const session = await client.sessions.forUser('u')
  const { id } = await session.agents.create()
  const headers = { authorization: `Bearer ${server.apiKey}` }
  for (const [path, maxMiB] of [
    ['/sessions', 1],
    [`/agents/${id}/exec`, 10],
  ] as const) {
    for (const sizeBytes of [maxMiB * 1024 * 1024 + 1, 20 * 1024 * 1024]) {
      for (let round = 0; round < 5; round += 1) {
        const body = 'x'.repeat(sizeBytes)
        const answer = await fetch(`${server.url}${path}`, { method: 'POST', headers, body })
        expect(answer.status).toBe(422)
        const fields = { body: [`is larger than ${maxMiB} MiB`] }
        expect(await answer.json()).toMatchObject({ error: { details: { fields } } })
      }
    }
  }
})

test('a server without a data folder leaves no files', async () => {
  const temporary =
    process.getuid?.() === 0 ? '/var/lib/theazo/temporary' : join(tmpdir(), `theazo-${process.getuid?.()}/temporary`)
  const server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--json'])
  const own = () => readdirSync(temporary).filter((name) => name.startsWith(`${server.child.pid}-`))
  expect(own()).toHaveLength(1)
  await server[Symbol.asyncDispose]()
  expect(own()).toEqual([])
})

test("the next server removes a killed server's temporary folder", async () => {
  const temporary =
    process.getuid?.() === 0 ? '/var/lib/theazo/temporary' : join(tmpdir(), `theazo-${process.getuid?.()}/temporary`)
  const server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--json'])
  const own = () => readdirSync(temporary).filter((name) => name.startsWith(`${server.child.pid}-`))
  server.child.kill('SIGKILL')
  await server.ended
  expect(own()).toHaveLength(1)
  await using next = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--json'])
  expect([next.child.pid === server.child.pid, own()]).toEqual([false, []])
})

test.each([
  [['serve', '--port', 'x'], '--port must be a number from 0 to 65535, not x'],
  [['serve', '--plan', 'gold'], '--plan must be one of free, cloud, team, enterprise, not gold'],
  [['serve', '--nope'], '--nope'],
  [[], 'the commands are serve, keys, doctor, backup, restore'],
  [['nope'], 'the commands are serve, keys, doctor, backup, restore'],
  [['serve', '--drain-seconds', '-1'], '--drain-seconds'],
  [['serve', '--idle-timeout', '59'], '--idle-timeout must be a number from 60 to 604800, not 59'],
  [['serve', '--idle-timeout', '60:stop'], '--idle-timeout must be SECONDS or SECONDS:pause, not 60:stop'],
  [['serve', '--project-mib', '0'], '--project-mib must be a number from 1 to 1000000, not 0'],
  [['serve', '--host', '0.0.0.0', '--port', '0'], 'theazo-server keys create'],
  [['keys', 'list'], '--data-dir'],
  [['keys', 'list', '--data-dir', '/nowhere'], 'is not the data folder of a server'],
  [['serve', '--data-dir', '/dev/null/nope'], 'The data folder cannot be used'],
  [['serve', '--data-dir', ''], '--data-dir must be a folder'],
  [['serve', '--mcp-config', '/nowhere.json'], '--mcp-config /nowhere.json cannot be read: ENOENT'],
])('invalid arguments are reported with exit code 1: %j', (args, says) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8', timeout: 30_000 })
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr).toContain(says)
})

test.each([
  ['serve', { THEAZO_PORT: 'x' }, 'THEAZO_PORT must be a number from 0 to 65535, not x'],
  ['serve', { THEAZO_PLAN: 'gold' }, 'THEAZO_PLAN must be one of free, cloud, team, enterprise, not gold'],
  ['serve', { THEAZO_IDLE_TIMEOUT: '59' }, 'THEAZO_IDLE_TIMEOUT must be a number from 60 to 604800, not 59'],
  ['serve', { THEAZO_IDLE_TIMEOUT: '60:stop' }, 'THEAZO_IDLE_TIMEOUT must be SECONDS or SECONDS:pause, not 60:stop'],
  ['serve', { THEAZO_DATA_DIR: '' }, 'THEAZO_DATA_DIR must be a folder, not an empty text'],
  ['serve', { THEAZO_CPU_PERCENT: '1' }, 'THEAZO_CPU_PERCENT must be a number from 5 to 100000, not 1'],
  ['serve', { THEAZO_MOUNT: '/opt/x' }, 'THEAZO_MOUNT must be a list of INSIDE=DIR,…, not /opt/x'],
  [
    'serve --no-network',
    { THEAZO_NETWORK_ALLOW: '*' },
    'THEAZO_NETWORK_ALLOW and --no-network exclude each other: give only one',
  ],
  ['serve --port y', { THEAZO_PORT: 'x' }, '--port must be a number from 0 to 65535, not y'],
  ['doctor', { THEAZO_MEMORY_MB: 'x' }, 'THEAZO_MEMORY_MB must be a number from 64 to 1048576, not x'],
  ['keys list', { THEAZO_DATA_DIR: '' }, 'THEAZO_DATA_DIR must be a folder, not an empty text'],
])('an invalid environment variable is named: %s with %j', (command, variables, says) => {
  const env = { ...process.env, ...variables }
  const { status, stderr } = spawnSync(process.execPath, [bin, ...command.split(' ')], {
    encoding: 'utf8',
    env,
    timeout: 30_000,
  })
  expect([status, stderr]).toEqual([1, `theazo-server: ${says}\n`])
})

test('--version prints the version of the package, and --help of a command prints only its options', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8', timeout: 30_000 })
  const { version } = JSON.parse(readFileSync(join(root, 'packages/server/package.json'), 'utf8'))
  for (const args of [['--version'], ['serve', '--version']]) {
    const { status, stdout } = run(...args)
    expect([status, stdout]).toEqual([0, `${version}\n`])
  }
  const of = (...args: string[]) => run(...args, '--help').stdout
  const all = { serve: '--drain-seconds', keys: '--rpm', doctor: 'theazo-server doctor' }
  for (const [name, own] of Object.entries(all)) {
    const shown = Object.values(all).filter((text) => of(name).includes(text))
    expect([name, shown]).toEqual([name, [own]])
  }
  for (const text of Object.values(all)) expect(of()).toContain(text)
  expect(of('keys')).toMatch(/--plan NAME +create, required: free, cloud/)
})

test('a key can be created before the first start, and --host other than loopback requires one', async () => {
  const open = ['serve', '--host', '0.0.0.0', '--port', '0', '--data-dir', dataDir, '--json']
  const refused = spawnSync(process.execPath, [bin, ...open], { encoding: 'utf8', timeout: 30_000 })
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('theazo-server keys create')])

  const fresh = join(dataDir, 'fresh')
  const create = ['keys', 'create', '--test', '--plan', 'team', '--data-dir', fresh, '--json']
  const made = spawnSync(process.execPath, [bin, ...create], { encoding: 'utf8', timeout: 30_000 })
  const { apiKey: key } = JSON.parse(made.stdout)
  expect(statSync(fresh).mode & 0o777).toBe(0o700)
  await using server = await startServer(process.execPath, [bin, ...open.with(6, fresh)])
  const url = server.url.replace('0.0.0.0', '127.0.0.1')
  expect((await fetch(`${url}/sessions`, { headers: { authorization: `Bearer ${key}` } })).status).toBe(200)
})

test('a port that is in use is reported with exit code 1', async () => {
  await using server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--json'])
  const { port } = new URL(server.url)
  const { status, stderr } = spawnSync(process.execPath, [bin, 'serve', '--port', port], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  expect(status).toBe(1)
  expect(stderr).toMatch(new RegExp(`Cannot listen on 127.0.0.1:${port}.*--port`))
})

test('without bubblewrap the server does not start, and reports how to install it', async () => {
  const child = spawn(process.execPath, [bin, 'serve', '--port', '0', '--json'], { env: { PATH: '/nowhere' } })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  const [code] = await once(child, 'close')
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(/bubblewrap is not installed.*apt-get install -y bubblewrap/)
})
