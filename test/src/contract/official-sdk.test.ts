// The requests of the hosted service's SDK (theazo/theazo-node, version 0.1.6) and the fields that it reads from the
// answers, taken from its source. The SDK itself runs in official-sdk-example.test.ts.
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer } from '../support/api-caller.ts'
import { type CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let live: CheckedCaller
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, live, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

const sdkHeaders = { 'content-type': 'application/json', 'x-sdk-version': '0.1.0' }

const exec = (caller: CheckedCaller, agentId: string, body: object): Promise<Answer> =>
  caller.post(`/agents/${agentId}/exec`, body, sdkHeaders)

test('the extension is advertised', async () => {
  expect((await mocked.get('/sessions')).headers.get('theazo-features')).toContain('official-sdk')
})

describe('exec', () => {
  test('accepts language in place of lang', async () => {
    const agentId = await live.agent()
    for (const [language, code] of [
      ['python', 'print(2 + 2)'],
      ['typescript', 'const sum: number = 2 + 2; console.log(sum)'],
      ['bash', 'echo $((2 + 2))'],
    ]) {
      const { status, body } = await exec(live, agentId, { language, code })
      expect([language, status, body.stdout, body.exitCode]).toEqual([language, 200, '4\n', 0])
    }
  })

  test('accepts both fields if they are equal, and refuses different values', async () => {
    const agentId = await mocked.agent()
    expect((await exec(mocked, agentId, { lang: 'bash', language: 'bash', code: '' })).status).toBe(200)
    expectFields(await exec(mocked, agentId, { lang: 'bash', language: 'python', code: '' }), 'language')
    expectFields(await exec(mocked, agentId, { lang: 'bash', language: null, code: '' }), 'language')
  })

  test.each(['ruby', '', 7, null, {}, 'Python'])(
    'an error names the field that was sent: language %j',
    async (language) => {
      const answer = await exec(mocked, 'agt_none', { language, code: '' })
      expectFields(answer, 'language')
      expect(answer.body.error.message).toContain("must be 'python', 'typescript' or 'bash'")
    },
  )

  test('streams with language, too', async () => {
    const agentId = await live.agent()
    const response = await fetch(`${live.url}/agents/${agentId}/exec`, {
      method: 'POST',
      headers: { ...sdkHeaders, authorization: `Bearer ${live.key}`, accept: 'text/event-stream' },
      body: JSON.stringify({ language: 'bash', code: 'echo hi' }),
    })
    expect(await response.text()).toContain('event: stdout\ndata: {"text":"hi\\n"}')
  })
})

describe('GET /agents/:id/status', () => {
  const statusOf = async (caller: CheckedCaller, agentId: string) =>
    (await caller.get(`/agents/${agentId}/status`)).body

  test("has every field of the SDK's type, with the SDK's names", async () => {
    const agentId = await live.agent()
    expect(await statusOf(live, agentId)).toEqual({
      status: 'ready',
      duration: expect.stringMatching(/^\d+(\.\d)?s$/),
      cost: { amount: expect.any(Number), currency: 'usd' },
      task: '',
      provider: 'local',
      region: 'local',
    })
    await live.post(`/agents/${agentId}/pause`)
    expect((await statusOf(live, agentId)).status).toBe('paused')
    await live.post(`/agents/${agentId}/terminate`)
    const ended = await statusOf(live, agentId)
    expect(ended.status).toBe('completed')
    expect(await statusOf(live, agentId)).toEqual(ended) // the runtime of an ended agent does not grow
  })

  test('returns the current task and the cost of all tasks', async () => {
    const agentId = await mocked.agent({ compute: { provider: 'e2b' } })
    await mocked.run(agentId, 'theazo:hang')
    expect(await statusOf(mocked, agentId)).toMatchObject({ status: 'running', task: 'theazo:hang', provider: 'e2b' })
  })

  test("is 404 for another project's agent and for an unknown id", async () => {
    const agentId = await live.agent()
    expectError(await mocked.get(`/agents/${agentId}/status`), 404, 'not_found')
    expectError(await live.get('/agents/agt_none/status'), 404, 'not_found')
  })
})

describe('compute', () => {
  const create = async (caller: CheckedCaller, body: object) =>
    await caller.post(`/sessions/${await caller.session()}/agents`, body)

  test.each(['python', 'node'])('accepts the runtime %s, which every sandbox has', async (compute) => {
    const { status, body } = await create(live, { compute })
    expect([status, body.compute]).toEqual([201, { provider: 'local' }])
  })

  test.each(['go', 'ruby', '', 'Python', 'local'])(
    'refuses %j, which is not a runtime of this server',
    async (compute) => {
      for (const caller of [live, mocked]) {
        const answer = await create(caller, { compute })
        expectFields(answer, 'compute')
        expect(answer.body.error.message).toContain("'python' or 'node'")
      }
    },
  )

  test('with a runtime does not make a named agent a different agent', async () => {
    const sessionId = await live.session()
    const named = { name: 'main', network: { allow: [] } }
    const first = await live.post(`/sessions/${sessionId}/agents`, named)
    const second = await live.post(`/sessions/${sessionId}/agents`, { ...named, compute: 'python' })
    expect([second.status, second.body.id]).toEqual([200, first.body.id])
  })
})

describe('files', () => {
  const names = async (agentId: string, dir: string): Promise<string[]> => {
    const { status, body } = await live.get(`/agents/${agentId}/files?dir=${encodeURIComponent(dir)}`)
    expect([status, dir]).toEqual([200, dir])
    return body.map(({ name }: { name: string }) => name)
  }
  const write = (caller: CheckedCaller, agentId: string, path: string, data: string, encoding?: string) =>
    caller.post(`/agents/${agentId}/files`, { path, data, encoding }, sdkHeaders)

  test("have paths that start in the code's working folder, except paths to a persistent folder", async () => {
    const agentId = await live.agent()
    for (const path of ['a.txt', '/b.txt', '/workspace/c.txt', '../../d.txt', '/home/agent/e.txt', '/tmp/f.txt']) {
      expect((await write(live, agentId, path, path)).body).toEqual({ ok: true })
    }
    const top = ['a.txt', 'b.txt', 'c.txt', 'd.txt', 'tmp']
    for (const dir of ['/', '', '.', '..', '/workspace', 'workspace/']) expect(await names(agentId, dir)).toEqual(top)
    expect((await live.get(`/agents/${agentId}/files`)).body).toHaveLength(top.length)
    expect(await names(agentId, '/home/agent')).toContain('e.txt')
    expect(await names(agentId, 'tmp')).toEqual(['f.txt'])
    const { body } = await live.exec(agentId, 'bash', 'cat /workspace/[a-d].txt ~/e.txt tmp/f.txt; ls /tmp/f.txt')
    expect(body.stdout).toBe('a.txt/b.txt/workspace/c.txt../../d.txt/home/agent/e.txt/tmp/f.txt')
    expect(body.stderr).toContain('No such file')
    for (const path of ['a.txt', 'workspace%2Fa.txt', '%2e%2e%2fa.txt'])
      expect((await live.get(`/agents/${agentId}/files/${path}`)).body).toEqual({ data: 'a.txt', encoding: 'utf-8' })
  })

  test('that are not UTF-8 are returned as base64; a byte order mark stays', async () => {
    const agentId = await live.agent()
    for (const [bytes, encoding] of [
      [Buffer.from('\ufeffé'), 'utf-8'],
      [Buffer.from([0xc3, 0x28, 0]), 'base64'],
    ] as const) {
      await write(live, agentId, 'x', bytes.toString('base64'), 'base64')
      const { body } = await live.get(`/agents/${agentId}/files/x`)
      expect(body).toEqual({ data: bytes.toString(encoding), encoding })
    }
  })

  test('may have 7 MB; files over 10 MiB are refused', async () => {
    const agentId = await live.agent()
    const text = 'é🙂\n'.repeat(1_000_000)
    expect((await write(live, agentId, 'big.txt', text)).status).toBe(200)
    const { body } = await live.get(`/agents/${agentId}/files/big.txt`)
    expect([body.encoding, body.data === text]).toEqual(['utf-8', true])
    const head = await fetch(`${live.url}/agents/${agentId}/files/big.txt`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${live.key}` },
    })
    expect([head.status, await head.text()]).toEqual([200, ''])
    expectFields(await write(live, agentId, 'big.txt', 'x'.repeat(10 * 1024 ** 2)), 'body')
    await live.exec(agentId, 'bash', 'truncate -s 10485761 huge')
    expectFields(await live.get(`/agents/${agentId}/files/huge`), 'path')
  })

  test('that are missing or are not regular files are reported as such', async () => {
    const agentId = await live.agent()
    await live.exec(agentId, 'bash', 'mkdir folder; echo > file; mkfifo pipe; touch closed; chmod 0 closed')
    const files = `/agents/${agentId}/files`
    for (const path of ['/none', '/none/x', '?dir=none']) expectError(await live.get(files + path), 404, 'not_found')
    for (const path of ['/folder', '/file%2Fx', '/closed', '/a%00b']) expectFields(await live.get(files + path), 'path')
    for (const dir of ['file', '%00', 'x'.repeat(5000)]) expectFields(await live.get(`${files}?dir=${dir}`), 'dir')
    expectError(await live.get(`${files}/pipe`), 409, 'conflict')
    for (const path of ['/', 'folder', 'new/', 'file/x']) expectFields(await write(live, agentId, path, ''), 'path')
  })

  test('are refused with the names of the invalid fields', async () => {
    const wrong = async (body: object) => await mocked.post('/agents/agt_none/files', body)
    expectFields(await wrong({}), 'path', 'data')
    expectFields(await wrong({ path: '', data: '' }), 'path')
    expectFields(await wrong({ path: 'x', data: '', encoding: 'hex' }), 'encoding')
    expectFields(await wrong({ path: 'x', data: 'not base64', encoding: 'base64' }), 'data')
    expectFields(await mocked.send('POST', '/agents/agt_none/files', '{"path":"x","data":"\\ud800"}'), 'data')
  })

  test("are refused if an exec would be refused, and another project's files are not found", async () => {
    const agentId = await live.agent()
    await write(live, agentId, 'x', 'mine')
    const asked = (caller: CheckedCaller) => [
      caller.get(`/agents/${agentId}/files?dir=/`),
      caller.get(`/agents/${agentId}/files/x`),
      write(caller, agentId, 'x', 'theirs'),
    ]
    const other = live.with((await server.keys.create({ mode: 'live', plan: 'enterprise', project: 'other' })).key)
    for (const caller of [mocked, other])
      for (const answer of asked(caller)) expectError(await answer, 404, 'not_found')
    await live.post(`/agents/${agentId}/pause`)
    for (const answer of asked(live)) expectError(await answer, 409, 'conflict')
    await live.post(`/agents/${agentId}/resume`)
    expect((await live.get(`/agents/${agentId}/files/x`)).body.data).toBe('mine')
    await live.post(`/agents/${agentId}/terminate`)
    for (const answer of asked(live)) expectError(await answer, 409, 'conflict')
  })

  test('are always empty with a test key', async () => {
    const agentId = await mocked.agent()
    expect((await write(mocked, agentId, 'x', 'text')).body).toEqual({ ok: true })
    expect((await mocked.get(`/agents/${agentId}/files`)).body).toEqual([])
    expect((await mocked.get(`/agents/${agentId}/files/x`)).body).toEqual({ data: '', encoding: 'utf-8' })
  })
})

describe('GET /sessions/:id/usage', () => {
  test('counts agents, and costs nothing on a test key', async () => {
    const sessionId = await mocked.session()
    const [first] = [await mocked.agent({}, sessionId), await mocked.agent({}, sessionId)]
    await mocked.post(`/agents/${first}/terminate`)
    expect((await mocked.get(`/sessions/${sessionId}/usage`)).body).toEqual({
      cost: { amount: 0, currency: 'usd' },
      computeMinutes: 0,
      activeAgents: 1,
      totalAgentsCreated: 2,
    })
  })

  test("returns the same minutes as the session's summary", async () => {
    const sessionId = await live.session()
    const agentId = await live.agent({}, sessionId)
    await live.agent() // in another session
    await live.exec(agentId, 'bash', 'sleep 0.2')
    await live.post(`/agents/${agentId}/terminate`)
    const { minutes } = (await live.get(`/usage/summary?sessionId=${sessionId}&from=2020-01-01`)).body.compute
    expect(minutes).toBeGreaterThan(0.2 / 60)
    const { body } = await live.get(`/sessions/${sessionId}/usage`)
    expect(body).toMatchObject({ computeMinutes: minutes, activeAgents: 0, totalAgentsCreated: 1 })
  })

  test("is 404 for another project's session", async () => {
    expectError(await mocked.get(`/sessions/${await live.session()}/usage`), 404, 'not_found')
  })
})
