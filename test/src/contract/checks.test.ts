// Rules of the contract that the reference does not state: the order of checks, conflicts, limits, tasks, headers.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, startServer } from '../support/server-process.ts'
import type { Answer } from '../support/api-caller.ts'
import { CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'
import { metricOf } from '../support/metrics.ts'

let server: ListeningTheazo
let live: CheckedCaller
let mocked: CheckedCaller
let reader: CheckedCaller
beforeAll(async () => {
  ;({ server, live, mocked } = await listenWithCallers())
  reader = live.with((await server.keys.create({ mode: 'test', plan: 'enterprise', scopes: ['read'] })).key)
})
afterAll(() => server[Symbol.asyncDispose]())

const noMinutes = { maxComputeMinutes: 0 }
const cap = (sessionId: string) => mocked.patch(`/sessions/${sessionId}`, { limits: noMinutes })

describe('the order of checks', () => {
  test('401 comes first', async () => {
    const nobody = mocked.with('th_test_none')
    for (const path of ['/sessions', '/agents/agt_none/exec', '/nowhere']) {
      expectError(await nobody.post(path, { lang: 1 }), 401, 'unauthorized')
    }
  })

  test('403 before 422 and 404', async () => {
    for (const headers of [{}, { 'idempotency-key': 'reader' }]) {
      expectError(await reader.post('/sessions', {}, headers), 403, 'forbidden')
    }
    expectError(await reader.post('/agents/agt_none/exec', {}), 403, 'forbidden')
    expectError(await reader.send('PATCH', '/sessions/ses_none', '{'), 403, 'forbidden')
  })

  test('403 before 409 of an idempotency key that was used with another body', async () => {
    const headers = { 'idempotency-key': 'reader-2' }
    for (const userId of ['a', 'b']) expectError(await reader.post('/sessions', { userId }, headers), 403, 'forbidden')
  })

  test('422 before 404', async () => {
    expectFields(await mocked.post('/agents/agt_none/exec', { lang: 'bash' }), 'code')
    expectFields(await mocked.post('/agents/agt_none/run', {}), 'task')
    expectFields(await mocked.post('/sessions/ses_none/agents', { timeout: 0 }), 'timeout')
    expectFields(await mocked.post('/sessions/ses_none/agents', { tools: ['none'] }), 'tools')
    expectFields(await mocked.patch('/sessions/ses_none', { metadata: 1 }), 'metadata')
    expectFields(await mocked.get('/sessions/ses_none/agents?limit=0'), 'limit')
  })

  test('409 of a terminated session or agent before 402', async () => {
    const sessionId = await mocked.session({ limits: { maxAgents: 1 } })
    const agentId = await mocked.agent({}, sessionId)
    await mocked.post(`/agents/${agentId}/terminate`)
    await cap(sessionId)
    for (const answer of [
      await mocked.exec(agentId, 'bash', 'true'),
      await mocked.post(`/agents/${agentId}/run`, { task: 'x' }),
      await mocked.post(`/agents/${agentId}/resume`),
    ]) {
      expectError(answer, 409, 'conflict')
    }
    expectError(await mocked.post(`/sessions/${sessionId}/agents`), 402, 'session_limit_exceeded')
    await mocked.post(`/sessions/${sessionId}/terminate`)
    expectError(await mocked.post(`/sessions/${sessionId}/agents`), 409, 'conflict')
  })

  test('402 before 409 of an agent that is paused, or not paused', async () => {
    const sessionId = await mocked.session()
    const agentId = await mocked.agent({}, sessionId)
    await mocked.post(`/agents/${agentId}/pause`)
    expectError(await mocked.exec(agentId, 'bash', 'true'), 409, 'conflict') // control: without a cap it is 409
    await cap(sessionId)
    for (const answer of [
      await mocked.exec(agentId, 'bash', 'true'),
      await mocked.post(`/agents/${agentId}/run`, { task: 'x' }),
      await mocked.post(`/agents/${agentId}/resume`),
    ]) {
      expectError(answer, 402, 'session_limit_exceeded')
    }
    expectError(await mocked.post(`/agents/${agentId}/pause`), 409, 'conflict') // a pause costs nothing, so no cap refuses it
  })
})

describe('limits', () => {
  test('maxAgents: of concurrent calls for the last slot one succeeds, the others are 402', async () => {
    for (const maxAgents of [1, 3]) {
      const sessionId = await mocked.session({ limits: { maxAgents } })
      for (let made = 1; made < maxAgents; made += 1) await mocked.agent({}, sessionId)
      const race = Array.from({ length: 10 }, () => mocked.post(`/sessions/${sessionId}/agents`))
      const statuses = (await Promise.all(race)).map(({ status }) => status)
      expect(statuses.toSorted()).toEqual([201, ...Array(9).fill(402)])
      expect((await mocked.get(`/sessions/${sessionId}/agents`)).body.data).toHaveLength(maxAgents)
    }
  })

  test('maxAgents: an existing agent is returned by its name, because it needs no new slot', async () => {
    const sessionId = await mocked.session({ limits: { maxAgents: 1 } })
    const path = `/sessions/${sessionId}/agents`
    const { body } = await mocked.post(path, { name: 'main' })
    const again = await mocked.post(path, { name: 'main' })
    expect([again.status, again.body.id]).toEqual([200, body.id])
    expectError(await mocked.post(path, { name: 'other' }), 402, 'session_limit_exceeded')
  })

  test.each([noMinutes, { maxCost: { amount: 0, currency: 'usd', period: 'session' } }])(
    'resume does not get round a cap: %j',
    async (limits) => {
      const sessionId = await mocked.session()
      const agentId = await mocked.agent({}, sessionId)
      await mocked.post(`/agents/${agentId}/pause`)
      await mocked.patch(`/sessions/${sessionId}`, { limits })
      for (const _ of [1, 2]) {
        expectError(await mocked.post(`/agents/${agentId}/resume`), 402, 'session_limit_exceeded')
        expect((await mocked.get(`/agents/${agentId}`)).body.status).toBe('paused')
      }
      await mocked.patch(`/sessions/${sessionId}`, { limits: null })
      expect((await mocked.post(`/agents/${agentId}/resume`)).body.status).toBe('idle')
    },
  )

  test('a cap that is reached ends a running exec with 402, pauses the agents and pauses the session', async () => {
    const sessionId = await mocked.session()
    const agentId = await mocked.agent({}, sessionId)
    const running = mocked.exec(agentId, 'bash', '# theazo:delay=600000')
    await inFlight(1)
    expect((await cap(sessionId)).body.status).toBe('paused')
    expectError(await running, 402, 'session_limit_exceeded')
    await expect.poll(async () => (await mocked.get(`/agents/${agentId}`)).body.status).toBe('paused')
    const raised = await mocked.patch(`/sessions/${sessionId}`, { limits: null })
    expect(raised.body.status).toBe('active')
    expect((await mocked.get(`/agents/${agentId}`)).body.status).toBe('paused')
  })
})

/** Waits until this number of execs run. */
async function inFlight(count: number): Promise<void> {
  await expect.poll(() => metricOf(server.url, 'theazo_execs_running'), { timeout: 20_000 }).toBe(count)
}

describe('conflicts', () => {
  test('a second run while one is active is a conflict; an exec is not', async () => {
    const agentId = await mocked.agent()
    const taskId = await mocked.run(agentId, 'theazo:hang')
    expectError(await mocked.post(`/agents/${agentId}/run`, { task: 'another' }), 409, 'conflict')
    expect((await mocked.exec(agentId, 'bash', 'echo beside')).body.stdout).toBe('beside\n')
    expect((await mocked.get(`/agents/${agentId}`)).body).toMatchObject({ status: 'running', task: { id: taskId } })
    await mocked.post(`/agents/${agentId}/tasks/${taskId}/cancel`)
    await mocked.run(agentId, 'another')
  })

  test('of concurrent runs on one agent one is accepted', async () => {
    const agentId = await mocked.agent()
    const race = Array.from({ length: 10 }, () => mocked.post(`/agents/${agentId}/run`, { task: 'theazo:hang' }))
    expect((await Promise.all(race)).map(({ status }) => status).toSorted()).toEqual([202, ...Array(9).fill(409)])
    await mocked.post(`/agents/${agentId}/terminate`)
  })

  test('a run on a paused agent is a conflict', async () => {
    const agentId = await mocked.agent()
    await mocked.post(`/agents/${agentId}/pause`)
    expectError(await mocked.post(`/agents/${agentId}/run`, { task: 'x' }), 409, 'conflict')
  })

  test('an exec does not change the status', async () => {
    const agentId = await mocked.agent()
    const { updatedAt } = (await mocked.get(`/agents/${agentId}`)).body
    const running = mocked.exec(agentId, 'bash', '# theazo:delay=300')
    await inFlight(1)
    expect((await mocked.get(`/agents/${agentId}`)).body).toMatchObject({ status: 'idle', updatedAt })
    await running
  })
})

describe('tasks', () => {
  test('that belong to another agent are 404', async () => {
    const [a, b] = [await mocked.agent(), await mocked.agent()]
    const taskId = await mocked.run(a, 'theazo:hang')
    for (const path of [`/agents/${b}/tasks/${taskId}`, `/agents/${a}/tasks/task_none`]) {
      expectError(await mocked.get(path), 404, 'not_found')
      expectError(await mocked.post(`${path}/cancel`), 404, 'not_found')
    }
    expect((await mocked.get(`/agents/${a}/tasks/${taskId}`)).body.status).toBe('running')
  })

  test('can be cancelled more than once; cancelling a task that has ended is a conflict', async () => {
    const agentId = await mocked.agent()
    const path = `/agents/${agentId}/tasks/${await mocked.run(agentId, 'theazo:hang')}`
    for (const _ of [1, 2]) expect((await mocked.post(`${path}/cancel`)).body).toEqual({ ok: true })
    const error = { code: 'cancelled', message: expect.any(String) }
    expect((await mocked.get(path)).body).toMatchObject({ status: 'cancelled', error, finishedAt: expect.any(String) })
    expect((await mocked.get(`/agents/${agentId}`)).body.status).toBe('idle')

    const done = `/agents/${agentId}/tasks/${await mocked.run(agentId, 'quick')}`
    await expect.poll(async () => (await mocked.get(done)).body.status, { timeout: 20_000 }).toBe('completed')
    expectError(await mocked.post(`${done}/cancel`), 409, 'conflict')
    expect((await mocked.get(path)).body.status).toBe('cancelled') // earlier tasks can still be read
  })

  test('can be cancelled while they are paused', async () => {
    const agentId = await mocked.agent()
    const taskId = await mocked.run(agentId, 'theazo:steps=50 theazo:delay=50')
    await mocked.post(`/agents/${agentId}/pause`)
    expect((await mocked.post(`/agents/${agentId}/tasks/${taskId}/cancel`)).body).toEqual({ ok: true })
    expect((await mocked.get(`/agents/${agentId}`)).body).toMatchObject({
      status: 'paused',
      task: { status: 'cancelled' },
    })
    expect((await mocked.post(`/agents/${agentId}/resume`)).body.status).toBe('idle') // there is no task to continue
  })
})

describe('every answer', () => {
  test('lists the extensions of the server', async () => {
    const { headers } = await mocked.get('/sessions')
    expect(headers.get('theazo-features')?.split(', ')).toEqual([
      'idempotency',
      'exec-stream',
      'exec-stdin',
      'exec-options',
      'exec-files',
      'sessions',
      'agents',
      'tasks',
      'replay',
      'approvals',
      'conversations',
      'official-sdk',
    ])
  })

  test('lists only extensions that work', async () => {
    const agentId = await live.agent()
    const code = 'cat; echo "$A"; pwd; echo > /workspace/made'
    const body = { lang: 'bash', code, stdin: 'in ', env: { A: 'env' }, cwd: '/' }
    const answer = await live.post(`/agents/${agentId}/exec`, body)
    expect(answer.body).toEqual({
      stdout: 'in env\n/\n',
      stderr: '',
      exitCode: 0,
      durationMs: expect.any(Number),
      files: [{ path: '/workspace/made', sizeBytes: 1 }],
    })
  })

  test('has x-theazo-mode: test for test keys only', async () => {
    const answers = (caller: CheckedCaller): Promise<Answer>[] => [
      caller.get('/sessions'),
      caller.get('/agents/agt_none'),
      caller.post('/sessions', {}),
      caller.get('/nowhere'),
      caller.send('DELETE', '/sessions'),
    ]
    const modes = async (caller: CheckedCaller) =>
      (await Promise.all(answers(caller))).map(({ headers }) => headers.get('x-theazo-mode'))
    expect(await modes(mocked)).toEqual(Array(5).fill('test'))
    expect(await modes(live)).toEqual(Array(5).fill(null))
  })

  test('ignores unknown fields and parameters', async () => {
    const unknown = { unknown: { a: 1 } }
    // Except in `limits`, `network` and `idleTimeout`: see misspelt-fields.test.ts.
    const session = await mocked.post('/sessions?unknown=1', { userId: 'u', limits: { maxAgents: 2 }, ...unknown })
    expect([session.status, session.body.limits]).toEqual([201, { maxAgents: 2 }])
    const agent = await mocked.post(`/sessions/${session.body.id}/agents`, { compute: { provider: 'fly', ...unknown } })
    expect([agent.status, agent.body.compute]).toEqual([201, { provider: 'fly' }])
    expect((await mocked.get('/sessions?limit=1&unknown=1')).status).toBe(200)
    const result = await mocked.post(`/agents/${agent.body.id}/exec`, { lang: 'bash', code: 'echo hi', ...unknown })
    expect(result.body.stdout).toBe('hi\n')
  })
})

describe('network', () => {
  const refused = async (body: object, caller = live): Promise<Record<string, string[]>> => {
    const answer = await caller.post(`/sessions/${await caller.session()}/agents`, body)
    expect(answer.status).toBe(422)
    return answer.body.error.details.fields
  }

  test('an error names each invalid entry and how to fix it', async () => {
    const allow = ['example.org', 'https://example.org', '10.0.0.1', '*.example.org:22', 'a/b', 'x'.repeat(262), '']
    for (const caller of [live, mocked]) {
      expect(await refused({ network: { allow } }, caller)).toEqual({
        'network.allow.1': [expect.stringContaining('write example.org')],
        'network.allow.2': ['must be public: 10.0.0.1 is an address that agents can never reach; remove it'],
        'network.allow.4': [expect.stringContaining('neither a path')],
        'network.allow.5': expect.arrayContaining(['must be at most 261 characters']),
        'network.allow.6': [expect.stringContaining('must be a host name')],
      })
    }
    expect(await refused({ network: { allow: Array.from({ length: 101 }, () => 'example.org') } })).toEqual({
      'network.allow': ['must be at most 100 entries'],
    })
    for (const network of [null, [], {}, { allow: 'example.org' }, { allow: [1] }, true]) {
      expect(Object.keys(await refused({ network }))[0]).toMatch(/^network/)
    }
  })

  test('is returned as it was sent, also with test keys', async () => {
    const network = { allow: ['Example.ORG', '*.example.org:22', '*', '93.184.1.1', '[2606:4700::1111]:53'] }
    for (const caller of [live, mocked]) {
      const sessionId = await caller.session()
      const { status, body } = await caller.post(`/sessions/${sessionId}/agents`, { network })
      expect([status, body.network]).toEqual([201, network])
      expect((await caller.get(`/agents/${body.id}`)).body.network).toEqual(network)
      expect((await caller.get(`/sessions/${sessionId}/agents`)).body.data[0].network).toEqual(network)
      await caller.post(`/agents/${body.id}/terminate`)
    }
  })
})

describe('lists', () => {
  test('a cursor keeps its position while items are added and ended', async () => {
    const sessionId = await mocked.session()
    const ids: string[] = []
    for (let n = 0; n < 6; n += 1) ids.unshift(await mocked.agent({}, sessionId))
    const path = `/sessions/${sessionId}/agents?limit=2`
    const idsOf = ({ body }: Answer): string[] => body.data.map(({ id }: { id: string }) => id)
    const first = await mocked.get(path)
    await mocked.agent({}, sessionId)
    await mocked.post(`/agents/${ids[1]}/terminate`) // the item at the cursor
    await mocked.post(`/agents/${ids[2]}/terminate`) // the item after it
    const second = await mocked.get(`${path}&cursor=${first.body.nextCursor}`)
    const third = await mocked.get(`${path}&cursor=${second.body.nextCursor}`)
    expect([first, second, third].map(idsOf)).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)])
    expect(idsOf(await mocked.get(`${path}&cursor=${first.body.nextCursor}`))).toEqual(ids.slice(2, 4))
    expect(third.body.hasMore).toBe(false)
  })

  test('an empty list is one page without items', async () => {
    const { body } = await mocked.get('/sessions?userId=nobody')
    expect(body).toEqual({ data: [], hasMore: false })
  })
})

describe('a booting agent', () => {
  test('has the status booting, and exec, run, pause and terminate wait until it is ready', async () => {
    using gate = delayedBubblewrap()
    await using program = await startServer(
      process.execPath,
      [join(root, 'packages/server/dist/bin.js'), 'serve', '--port', '0', '--pool', '0', '--json'],
      { PATH: gate.searchPath },
    )
    const caller = await CheckedCaller.to(program, program.apiKey)
    const sessionId = await caller.session()
    const statuses = async (): Promise<string[]> =>
      (await caller.get(`/sessions/${sessionId}/agents`)).body.data.map(({ status }: { status: string }) => status)

    gate.hold()
    const creating = [caller, caller].map((one) => one.post(`/sessions/${sessionId}/agents`))
    await expect.poll(statuses, { timeout: 20_000 }).toEqual(['booting', 'booting'])
    const [a, b] = (await caller.get(`/sessions/${sessionId}/agents`)).body.data.map(({ id }: { id: string }) => id)
    const waiting = [caller.exec(a, 'bash', 'echo hi'), caller.post(`/agents/${b}/pause`)]
    expect(await statuses()).toEqual(['booting', 'booting'])
    gate.release()
    expect((await Promise.all(creating)).map(({ status }) => status)).toEqual([201, 201])
    expect((await Promise.all(waiting)).map(({ body }) => body.stdout ?? body.status)).toEqual(['hi\n', 'paused'])
  })
})

/** A `bwrap` for the PATH. Between `hold` and `release` it waits before it starts a sandbox. */
function delayedBubblewrap() {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-bwrap-'))
  const hold = join(folder, 'hold')
  const real = execFileSync('bash', ['-c', 'command -v bwrap'], { encoding: 'utf8' }).trim()
  const path = join(folder, 'bwrap')
  writeFileSync(path, `#!/bin/bash\nwhile [[ -e ${hold} ]]; do sleep 0.02; done\nexec ${real} "$@"\n`)
  chmodSync(path, 0o755)
  chmodSync(folder, 0o755)
  return {
    searchPath: `${folder}:${process.env['PATH']}`,
    hold: () => writeFileSync(hold, ''),
    release: () => rmSync(hold),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  }
}
