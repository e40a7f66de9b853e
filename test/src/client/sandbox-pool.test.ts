// The pool keeps one sandbox per key. Tests use the real local server, or a scripted one for cases that it cannot
// produce.
import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Agent, Theazo, type TheazoOptions } from '@theazo/core'
import { SandboxPool, type SandboxPoolOptions } from '@theazo/core/pool'
import { readFile, runCode, toolSource } from '@theazo/core/tools'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Answer, error, execResult, startApi, wireAgent, wireSession } from './scripted-api.ts'

let local: LocalTheazo
let theazo: Theazo
/** Last path segment of each request that the pool under test made. */
let calls: string[]

beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(() => local[Symbol.asyncDispose]())

/** A pool on the real server. Its requests are recorded. */
function newPool(options: SandboxPoolOptions = {}, more: TheazoOptions = {}): SandboxPool {
  calls = []
  const onRequest = ({ url }: { url: string }) => calls.push(url.split('/').at(-1) ?? '')
  return new SandboxPool(new Theazo({ ...local, ...more, hooks: { onRequest } }), options)
}

const creations = (): number => calls.filter((call) => call === 'agents').length
const idOf = (pool: SandboxPool, key: string, signal?: AbortSignal): Promise<string> =>
  pool.use(key, async ({ id }) => id, { signal })
const statusOf = async (id: string): Promise<string> => (await theazo.agents.get(id)).data.status
/** Too long for a user id. */
const tooLong = 'x'.repeat(257)
const newAgent = async (): Promise<Agent> => await (await theazo.sessions.forUser('given')).agents.create()

async function untilTerminated(...ids: string[]): Promise<void> {
  for (const id of ids) while ((await statusOf(id)) !== 'terminated') await new Promise(setImmediate)
}

const thrownBy = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('no error'),
    (thrown: unknown) => thrown,
  )

/** The server, with the creation of agents delayed until a release. */
function delayedServer(): { options: TheazoOptions; requested: Promise<void>; release: () => void } {
  const asked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  return {
    requested: asked.promise,
    release: gate.resolve,
    options: {
      async fetch(input, init) {
        if (String(input).endsWith('/agents')) {
          asked.resolve()
          await gate.promise
        }
        return await local.fetch(input, init)
      },
    },
  }
}

describe('one sandbox per key', () => {
  test('fifty concurrent calls for one key create one agent, and fifty keys create fifty', async () => {
    await using pool = newPool()
    const same = await Promise.all(Array.from({ length: 50 }, () => idOf(pool, 'same')))
    expect([new Set(same).size, creations(), pool.size]).toEqual([1, 1, 1])
    const others = await Promise.all(Array.from({ length: 50 }, (_, n) => idOf(pool, `other-${n}`)))
    expect([new Set(others).size, creations(), pool.size]).toEqual([50, 51, 51])
  })

  test('files persist between calls, and keys do not share them', async () => {
    await using pool = newPool()
    await pool.use('a', (agent) => agent.files.write('mine', 'of a'))
    expect(await pool.use('a', (agent) => agent.files.readText('mine'))).toBe('of a')
    expect(await pool.use('b', (agent) => agent.files.exists('mine'))).toBe(false)
  })

  test('userIdOf selects the session, and the options apply to the agent', async () => {
    await using pool = newPool({ userIdOf: (key) => `user-${key.split(':')[0]}`, agent: { timeoutSeconds: 7 } })
    const agents = await Promise.all(['1:a', '1:b', '2:a'].map((key) => pool.use(key, async ({ data }) => data)))
    expect(new Set(agents.map(({ id }) => id)).size).toBe(3)
    expect(agents[0]?.sessionId).toBe(agents[1]?.sessionId)
    expect((await theazo.sessions.get(agents[2]?.sessionId ?? '')).data.userId).toBe('user-2')
    expect(agents.map(({ timeout }) => timeout)).toEqual([7, 7, 7])
  })

  test('use rejects with the error of the work, and the sandbox stays', async () => {
    await using pool = newPool()
    const id = await idOf(pool, 'a')
    const mine = new Error('mine')
    expect(await thrownBy(pool.use('a', () => Promise.reject(mine)))).toBe(mine)
    expect(await idOf(pool, 'a')).toBe(id)
  })

  test('a failed creation is not remembered: the next call tries again', async () => {
    let isBroken = true
    await using pool = newPool({ userIdOf: (key) => (isBroken ? tooLong : key) })
    const failed = await Promise.all([thrownBy(idOf(pool, 'a')), thrownBy(idOf(pool, 'a'))])
    expect(failed[0]).toBe(failed[1])
    expect(failed[0]).toMatchObject({ name: 'UnprocessableEntityError' })
    expect(pool.size).toBe(0)
    isBroken = false
    expect(await idOf(pool, 'a')).toMatch(/^agt_/)
  })

  test("a caller's abort ends only its own wait", async () => {
    const delayed = delayedServer()
    await using pool = newPool({}, delayed.options)
    const abort = new AbortController()
    const reason = new Error('enough')
    const aborted = thrownBy(idOf(pool, 'a', abort.signal))
    const other = idOf(pool, 'a')
    await delayed.requested
    abort.abort(reason)
    expect(await aborted).toBe(reason)
    delayed.release()
    expect(await other).toMatch(/^agt_/)
    expect(await idOf(pool, 'a')).toBe(await other)
    expect(creations()).toBe(1)
  })

  test('a sandbox whose creation no caller waits for stays in the pool, and dispose ends it', async () => {
    const delayed = delayedServer()
    const pool = newPool({}, delayed.options)
    const abort = new AbortController()
    const aborted = thrownBy(idOf(pool, 'a', abort.signal))
    await delayed.requested
    abort.abort(new Error('enough'))
    await aborted
    delayed.release()
    const id = await idOf(pool, 'a')
    expect(creations()).toBe(1)
    await pool.dispose()
    expect(await statusOf(id)).toBe('terminated')
  })

  test('an aborted signal sends no request', async () => {
    await using pool = newPool()
    const reason = new Error('too late')
    expect(await thrownBy(idOf(pool, 'a', AbortSignal.abort(reason)))).toBe(reason)
    expect([calls, pool.size]).toEqual([[], 0])
  })
})

describe('a sandbox that is gone', () => {
  test('fails the first call, and is replaced for the next one', async () => {
    await using pool = newPool()
    const id = await idOf(pool, 'a')
    await theazo.agent(id).terminate()
    const failed = await thrownBy(pool.use('a', (agent) => agent.exec('bash', 'true')))
    expect(failed).toMatchObject({ name: 'ConflictError' })
    const next = await idOf(pool, 'a')
    expect([next === id, await statusOf(next)]).toEqual([false, 'idle'])
  })

  test('is replaced during a tool call, each time, and the code runs once', async () => {
    await using pool = newPool()
    const sandbox = await pool.source('a')()
    const ids = [await idOf(pool, 'a')]
    expect(sandbox.id).toBe(ids[0])
    for (let round = 1; round <= 3; round += 1) {
      await theazo.agent(ids.at(-1) ?? '').terminate()
      const { stdout } = await sandbox.exec('bash', 'echo ran >> log; cat log')
      expect(stdout).toBe('ran\n')
      ids.push(await idOf(pool, 'a'))
    }
    expect([new Set(ids).size, creations()]).toEqual([4, 4])
  })

  test('is replaced once, even if many tool calls fail concurrently', async () => {
    await using pool = newPool()
    const sandbox = await pool.source('a')()
    await theazo.agent(sandbox.id).terminate()
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) => sandbox.exec('bash', `echo ${n} >> log; echo ${n}`)),
    )
    expect(results.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 20 }, (_, n) => `${n}\n`))
    const log = await pool.use('a', (agent) => agent.files.readText('log'))
    expect(
      log
        .trim()
        .split('\n')
        .map(Number)
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from({ length: 20 }, (_, n) => n))
    expect(creations()).toBe(2)
  })

  test('ends the code that runs in it, and the code does not run again', async () => {
    let execs = 0
    const fetchOnce: typeof fetch = async (input, init) => {
      const isAgain = String(input).endsWith('/exec') && (execs += 1) > 1
      return isAgain ? Response.json(execResult('run again')) : await local.fetch(input, init)
    }
    await using pool = newPool({}, { fetch: fetchOnce })
    const sandbox = await pool.source('a')()
    const ended = thrownBy(sandbox.exec('bash', 'touch started; sleep 60'))
    await theazo.agent(sandbox.id).exec('bash', 'until [[ -e started ]]; do sleep 0.02; done')
    await theazo.agent(sandbox.id).terminate()
    expect(await ended).toMatchObject({ name: 'ConflictError', status: 409 })
    expect(execs).toBe(1)
  })

  test('is not assumed for other errors: they are passed on, and nothing is created', async () => {
    await using pool = newPool()
    const sandbox = await pool.source('a')()
    const lang = 'cobol' as 'bash' // a caller without types may send this
    expect(await thrownBy(sandbox.exec(lang, 'x'))).toMatchObject({ name: 'UnprocessableEntityError' })
    expect([creations(), await idOf(pool, 'a')]).toEqual([1, sandbox.id])
  })
})

describe('a sandbox for tools', () => {
  test('that is paused is resumed once by concurrent calls, and its files are there', async () => {
    await using pool = newPool()
    const sandbox = await pool.source('a')()
    await sandbox.exec('bash', 'echo kept > f')
    await theazo.agent(sandbox.id).pause()
    const results = await Promise.all(Array.from({ length: 10 }, () => sandbox.exec('bash', 'cat f')))
    expect(results.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 10 }, () => 'kept\n'))
    expect([creations(), sandbox.takeNotice()]).toEqual([1, undefined])
  })

  test('that was replaced reports once why, and that files are lost', async () => {
    await using pool = newPool()
    const sandbox = await pool.source('a')()
    expect(sandbox.takeNotice()).toBeUndefined()
    await theazo.agent(sandbox.id).terminate()
    const again = await pool.source('a')()
    const first = await runCode.run({ language: 'bash', code: 'ls -A' }, { sandbox: again })
    expect(first.text).toBe(
      '[The sandbox of earlier calls is gone: it has been terminated. This is a new one; earlier files and processes are lost.]\n(no output)',
    )
    expect((await runCode.run({ language: 'bash', code: 'ls -A' }, { sandbox: again })).text).toBe('(no output)')
  })

  test('that was ended for being idle reports that too', async () => {
    await using pool = newPool({ idleTtlMs: 20 })
    const used = await pool.source('a')()
    await used.exec('bash', 'true')
    await untilTerminated(used.id)
    const sandbox = await pool.source('a')()
    const result = await readFile.run({ path: 'notes' }, { sandbox })
    expect(result.text).toMatch(/^\[The sandbox of earlier calls is gone: it was not used for a while\./)
    expect(result).toMatchObject({ isError: true, error: { code: 'file_not_found' } })
  })

  test('is ended by its own terminate, and the next call creates another', async () => {
    await using pool = newPool()
    const sandbox = await pool.source('a')()
    await sandbox.terminate()
    expect([await statusOf(sandbox.id), pool.size]).toEqual(['terminated', 0])
    expect((await pool.source('a')()).id).not.toBe(sandbox.id)
  })

  test('is created once per key also in a full pool, and a new key reports no loss', async () => {
    await using pool = newPool({ maxSize: 2 })
    const texts = await Promise.all(
      Array.from({ length: 6 }, async (_, n) => {
        const result = await runCode.run({ language: 'bash', code: `echo ${n}` }, { sandbox: pool.source(`key-${n}`) })
        return result.text
      }),
    )
    expect([texts, creations()]).toEqual([Array.from({ length: 6 }, (_, n) => `${n}`), 6])
  })

  test('is not ended between its source and its use; an unused one is ended like any other', async () => {
    await using pool = newPool({ maxSize: 1 })
    await pool.source('a')()
    await idOf(pool, 'b')
    expect(creations()).toBe(2)
  })

  test('that is slow to start does not delay an aborted call', async () => {
    const delayed = delayedServer()
    await using pool = newPool({}, delayed.options)
    const abort = new AbortController()
    const reason = new Error('enough')
    const call = thrownBy(
      runCode.run({ language: 'bash', code: '1' }, { sandbox: pool.source('a'), signal: abort.signal }),
    )
    await delayed.requested
    abort.abort(reason)
    expect(await call).toBe(reason)
    delayed.release()
    expect(await idOf(pool, 'a')).toMatch(/^agt_/)
    expect(creations()).toBe(1)
  })

  test('is not ended during a tool call', async () => {
    await using pool = newPool({ maxSize: 1 })
    const sandbox = await pool.source('a')()
    const release = sandbox.hold()
    const other = idOf(pool, 'b')
    await idOf(pool, 'a')
    expect([pool.size, creations()]).toEqual([1, 1])
    release()
    await other
    expect(await statusOf(sandbox.id)).not.toBe('idle')
  })

  test('supports files, state and usage like an agent', async () => {
    await using pool = newPool()
    const sandbox = await pool.source('a')()
    await sandbox.files.write('f', new Uint8Array(200_000))
    expect((await sandbox.files.stat('f')).sizeBytes).toBe(200_000)
    expect((await sandbox.refresh()).data.status).toBe('idle')
    expect((await sandbox.pause()).data.status).toBe('paused')
    expect((await sandbox.resume()).data.status).toBe('idle')
    const { account } = toolSource({ agent: pool.source('a') })
    expect((await account())?.session.id).toBe((await sandbox.refresh()).data.sessionId)
  })
})

describe('the end of a sandbox that no process ends', () => {
  const idleOf = (pool: SandboxPool, key: string) => pool.use(key, async ({ data }) => data.idleTimeout)

  test('by default the server ends it after twice the idle time of the pool, at least a minute', async () => {
    await using pool = newPool()
    expect(await idleOf(pool, 'a')).toEqual({ seconds: 1800, action: 'terminate' })
    await using quick = newPool({ idleTtlMs: 5_000 })
    expect(await idleOf(quick, 'a')).toEqual({ seconds: 60, action: 'terminate' })
    await using endless = newPool({ idleTtlMs: Number.POSITIVE_INFINITY })
    expect(await idleOf(endless, 'a')).toEqual({ seconds: 604_800, action: 'terminate' })
  })

  test('the agent options override the default, also with undefined', async () => {
    await using pool = newPool({ agent: { idleTimeout: { seconds: 90, action: 'pause' } } })
    expect(await idleOf(pool, 'a')).toEqual({ seconds: 90, action: 'pause' })
    await using without = newPool({ agent: { idleTimeout: undefined } })
    expect(await idleOf(without, 'a')).toBeUndefined()
  })

  test('onRelease pause leaves a named sandbox paused for the next process', async () => {
    const options: SandboxPoolOptions = { nameOf: (key) => `of-${key}`, onRelease: 'pause' }
    const first = newPool(options)
    const id = await first.use('kept', async (agent) => {
      await agent.files.write('f', 'kept')
      return agent.id
    })
    expect(await idleOf(first, 'kept')).toEqual({ seconds: 1800, action: 'pause' })
    await first.dispose()
    expect(await statusOf(id)).toBe('paused')
    const second = newPool(options)
    const sandbox = await second.source('kept')()
    expect([sandbox.id, (await sandbox.exec('bash', 'cat f')).stdout]).toEqual([id, 'kept'])
    await second.dispose()
    expect(await statusOf(id)).toBe('paused')
    await theazo.agent(id).terminate()
  })

  test('onRelease leave does not end it, because other processes may use it', async () => {
    const options: SandboxPoolOptions = { nameOf: () => 'shared', onRelease: 'leave' }
    const pool = newPool(options)
    const id = await idOf(pool, 'left')
    await pool.dispose()
    expect(await statusOf(id)).toBe('idle')
    await theazo.agent(id).terminate()
  })

  test('without idle timeouts in the server, none is requested, and the pool ends its sandboxes', async () => {
    const bodies: unknown[] = []
    let ended = 0
    await using api = await startApi({
      'POST /sessions/by-user/*': () => wireSession('ses_1'),
      'GET /sessions': () => ({ data: [], hasMore: false }),
      'POST /sessions/ses_1/agents': ({ body }) => {
        bodies.push(body)
        return new Answer(201, wireAgent('idle'))
      },
      'POST /agents/*/terminate': () => {
        ended += 1
        return { ok: true }
      },
    })
    const pool = new SandboxPool(new Theazo(api.options), { onRelease: 'leave' })
    await idOf(pool, 'a')
    await pool.dispose()
    expect(bodies).toEqual([{}])
    expect(ended).toBe(1)
  })
})

describe('a 409 of a live agent', () => {
  /** Each created agent has the next number; the test scripts the responses of exec. */
  const startPoolApi = async (exec: (number: number) => unknown, status: () => 'paused' | 'idle' | 'terminated') => {
    let created = 0
    const api = await startApi({
      'POST /sessions/by-user/*': () => wireSession('ses_1'),
      'POST /sessions/ses_1/agents': () => new Answer(201, wireAgent('idle', { id: `agt_${(created += 1)}` })),
      'GET /agents/*': ({ path }) => wireAgent(status(), { id: path.split('/')[2] ?? '' }),
      'POST /agents/*/exec': ({ path }) => exec(Number(path.split('_')[1]?.split('/')[0])),
      'POST /agents/*/terminate': () => ({ ok: true }),
      'POST /agents/*/resume': () => error(402, 'session_limit_exceeded', 'no budget is left'),
    })
    return { api, created: () => created, execs: () => api.calls.filter((call) => call.endsWith('/exec')) }
  }

  test('that is busy rejects the call, and the sandbox stays', async () => {
    const status = 'idle'
    const { api, created, execs } = await startPoolApi(
      () => error(409, 'conflict', status),
      () => status,
    )
    await using _api = api
    await using pool = new SandboxPool(new Theazo(api.options))
    const sandbox = await pool.source('a')()
    expect(await thrownBy(sandbox.exec('bash', 'x'))).toMatchObject({ name: 'ConflictError', message: status })
    expect(await thrownBy(pool.use('a', (agent) => agent.exec('bash', 'x')))).toMatchObject({ name: 'ConflictError' })
    expect([created(), execs()]).toEqual([1, ['POST /agents/agt_1/exec', 'POST /agents/agt_1/exec']])
  })

  test('that is paused and cannot be resumed rejects with the error of resume', async () => {
    const { api, created } = await startPoolApi(
      () => error(409, 'conflict', 'paused'),
      () => 'paused',
    )
    await using _api = api
    await using pool = new SandboxPool(new Theazo(api.options))
    const sandbox = await pool.source('a')()
    expect(await thrownBy(sandbox.exec('bash', 'x'))).toMatchObject({ name: 'SessionLimitExceededError' })
    expect(created()).toBe(1)
  })

  test('rejects the call also after the sandbox was replaced once', async () => {
    let status: 'idle' | 'terminated' = 'terminated'
    const { api, created, execs } = await startPoolApi(
      (number) => (number === 1 ? error(409, 'conflict', 'terminated') : execResult('')),
      () => status,
    )
    await using _api = api
    let isBusy = false
    await using pool = new SandboxPool(
      new Theazo({
        ...api.options,
        // The second agent refuses from now on.
        fetch: (input, init) =>
          isBusy && String(input).endsWith('/exec')
            ? fetch(String(input).replace('agt_2', 'agt_1'), init)
            : fetch(input, init),
      }),
    )
    const sandbox = await pool.source('a')()
    await sandbox.exec('bash', 'x')
    expect([created(), execs()]).toEqual([2, ['POST /agents/agt_1/exec', 'POST /agents/agt_2/exec']])
    status = 'idle'
    isBusy = true
    expect(await thrownBy(sandbox.exec('bash', 'x'))).toMatchObject({ name: 'ConflictError' })
    expect([created(), execs().length]).toEqual([2, 3])
  })
})

describe('the size of a pool', () => {
  test('a sandbox that is idle too long is ended, and the next call creates another', async () => {
    await using pool = newPool({ idleTtlMs: 20 })
    const id = await idOf(pool, 'a')
    await untilTerminated(id)
    expect(pool.size).toBe(0)
    expect(await idOf(pool, 'a')).not.toBe(id)
  })

  test('a sandbox in use is never idle', async () => {
    await using pool = newPool({ idleTtlMs: 20 })
    await idOf(pool, 'a') // it has been idle before
    const used = await pool.use('a', async (agent) => {
      const idle = await idOf(pool, 'b')
      await untilTerminated(idle)
      await idOf(pool, 'a') // a short use within the long one
      const another = await idOf(pool, 'b')
      await untilTerminated(another)
      return await agent.exec('bash', 'echo alive')
    })
    expect(used.stdout).toBe('alive\n')
  })

  test('a full pool ends the one that was idle longest', async () => {
    await using pool = newPool({ maxSize: 2 })
    const a = await idOf(pool, 'a')
    const b = await idOf(pool, 'b')
    await idOf(pool, 'a')
    const c = await idOf(pool, 'c')
    await untilTerminated(b)
    expect([pool.size, await statusOf(a), await statusOf(c)]).toEqual([2, 'idle', 'idle'])
    expect([await idOf(pool, 'a'), await idOf(pool, 'c')]).toEqual([a, c])
  })

  test('if all are in use the next call waits, and an abort ends only its wait', async () => {
    await using pool = newPool({ maxSize: 1 })
    const gate = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<string>()
    const busy = pool.use('a', async ({ id }) => {
      begun.resolve(id)
      await gate.promise
    })
    const a = await begun.promise
    const abort = new AbortController()
    const reason = new Error('enough')
    const aborted = thrownBy(idOf(pool, 'b', abort.signal))
    const waiting = Promise.all([idOf(pool, 'c'), idOf(pool, 'c'), idOf(pool, 'd')])
    expect(await idOf(pool, 'a')).toBe(a)
    abort.abort(reason)
    expect(await aborted).toBe(reason)
    expect([pool.size, creations()]).toEqual([1, 1])
    gate.resolve()
    await busy
    const [c, again, d] = await waiting
    expect([c === again, c === d, creations()]).toEqual([true, false, 3])
    await untilTerminated(a)
  })

  test('a failed creation frees its place for the next', async () => {
    await using pool = newPool({ maxSize: 1, userIdOf: (key) => (key === 'bad' ? tooLong : key) })
    const [failed, id] = await Promise.all([thrownBy(idOf(pool, 'bad')), idOf(pool, 'good')])
    expect(failed).toMatchObject({ name: 'UnprocessableEntityError' })
    expect(id).toMatch(/^agt_/)
  })

  test('evict ends a sandbox of the pool, and the next call creates another', async () => {
    await using pool = newPool()
    const id = await idOf(pool, 'a')
    await pool.evict('a')
    await pool.evict('none')
    expect(await statusOf(id)).toBe('terminated')
    expect(await idOf(pool, 'a')).not.toBe(id)
  })

  test.each([
    [{ maxSize: 0 }, 'maxSize must be at least 1, not 0'],
    [{ idleTtlMs: Number.NaN }, 'idleTtlMs must be milliseconds, 0 or more, not NaN'],
    [{ idleTtlMs: -1 }, 'idleTtlMs must be'],
    [{ idleTimeoutSeconds: 90.5 }, 'idleTimeoutSeconds must be a whole number from 60 to 604800, not 90.5'],
    [{ onRelease: 'stop' as 'pause' }, "onRelease must be 'terminate', 'pause' or 'leave', not \"stop\""],
  ])('%j is refused: %s', (options, message) => {
    expect(() => newPool(options)).toThrow(message)
  })
})

describe('an adopted sandbox', () => {
  test('is used and never ended: not by idle time, a full pool, evict or dispose', async () => {
    const adopted = await Promise.all([newAgent(), newAgent(), newAgent(), newAgent()])
    const [idle, old, evicted, last] = adopted.map(({ id }) => id)
    await using quick = newPool({ idleTtlMs: 20 })
    for (const agent of adopted.slice(0, 1)) quick.adopt('a', agent)
    expect(await idOf(quick, 'a')).toBe(idle)
    await untilTerminated(await idOf(quick, 'b'))

    const pool = newPool({ maxSize: 1 })
    for (const agent of adopted.slice(1, 2)) pool.adopt('a', agent)
    expect(await idOf(pool, 'a')).toBe(old)
    const created = await idOf(pool, 'b')
    for (const agent of adopted.slice(2, 3)) pool.adopt('c', agent)
    expect(await idOf(pool, 'c')).toBe(evicted)
    await pool.evict('c')
    for (const agent of adopted.slice(3)) pool.adopt('c', agent)
    expect(await idOf(pool, 'c')).toBe(last)
    await pool.dispose()
    expect(await statusOf(created)).toBe('terminated')
    const statuses = await Promise.all(adopted.map(({ id }) => statusOf(id)))
    expect(statuses).toEqual(['idle', 'idle', 'idle', 'idle'])
    await Promise.all(adopted.map((agent) => agent.terminate()))
  })

  test('replaces the sandbox that the pool created for the key, and the pool ends that one', async () => {
    const adopted = await newAgent()
    {
      await using pool = newPool()
      const created = await idOf(pool, 'a')
      pool.adopt('a', adopted)
      expect(await idOf(pool, 'a')).toBe(adopted.id)
      await pool.dispose()
      expect(await statusOf(created)).toBe('terminated')
    }
    expect(await statusOf(adopted.id)).toBe('idle')
    await adopted.terminate()
  })

  test('is never ended, even if the pool itself had created it', async () => {
    const pool = newPool()
    const created = await idOf(pool, 'a')
    pool.adopt('a', theazo.agent(created))
    expect(await idOf(pool, 'a')).toBe(created)
    await pool.dispose()
    expect(await statusOf(created)).toBe('idle')
    await theazo.agent(created).terminate()
  })

  test('that no longer exists is replaced by a sandbox that the pool creates', async () => {
    const adopted = await newAgent()
    const pool = newPool()
    pool.adopt('a', adopted)
    await adopted.terminate()
    const sandbox = await pool.source('a')()
    expect((await sandbox.exec('bash', 'echo hi')).stdout).toBe('hi\n')
    const created = await idOf(pool, 'a')
    expect(created).not.toBe(adopted.id)
    await pool.dispose()
    expect(await statusOf(created)).toBe('terminated')
  })

  test('with a stored id can be adopted by another pool, which does not end it', async () => {
    const stored = new Map<string, string>()
    const options: SandboxPoolOptions = {
      recall: async (key) => stored.get(key),
      onCreate: (key, { id }) => stored.set(key, id),
    }
    await using first = newPool(options)
    const id = await idOf(first, 'a')
    expect(stored.get('a')).toBe(id)
    {
      await using second = newPool(options)
      expect([await idOf(second, 'a'), creations()]).toEqual([id, 0])
    }
    expect(await statusOf(id)).toBe('idle')
    await theazo.agent(id).terminate()
    await using third = newPool(options)
    const next = await idOf(third, 'a')
    expect([next === id, stored.get('a')]).toEqual([false, next])
    stored.set('b', 'agt_none')
    expect(await idOf(third, 'b')).toBe(stored.get('b'))
  })
})

describe('dispose', () => {
  test('ends all sandboxes that the pool created, and refuses later calls', async () => {
    const pool = newPool()
    const ids = await Promise.all(['a', 'b', 'c'].map((key) => idOf(pool, key)))
    const sandbox = await pool.source('a')()
    await pool.dispose()
    expect(await Promise.all(ids.map(statusOf))).toEqual(['terminated', 'terminated', 'terminated'])
    await pool.dispose()
    const sent = calls.length
    for (const call of [idOf(pool, 'a'), pool.source('a')(), sandbox.exec('bash', 'true')]) {
      expect(await thrownBy(call)).toMatchObject({
        name: 'ConfigurationError',
        message: expect.stringContaining('dispose'),
      })
    }
    const adopted = theazo.agent('agt_none')
    expect(() => pool.adopt('a', adopted)).toThrow('dispose')
    expect([calls.length, pool.size]).toEqual([sent, 0])
  })

  test('during creations ends the new sandboxes, and rejects the waiting calls', async () => {
    const delayed = delayedServer()
    const created: string[] = []
    const pool = newPool({ onCreate: (_key, { id }) => created.push(id) }, delayed.options)
    const waiting = ['a', 'a', 'b'].map((key) => pool.use(key, (agent) => agent.exec('bash', 'touch ran')))
    const failed = Promise.all(waiting.map(thrownBy))
    await delayed.requested
    const disposed = pool.dispose()
    delayed.release()
    await disposed
    expect((await failed).map((thrown) => (thrown as Error).name)).toEqual(Array(3).fill('ConfigurationError'))
    expect(created).toHaveLength(2)
    expect(await Promise.all(created.map(statusOf))).toEqual(['terminated', 'terminated'])
  })

  test('rejects calls that wait for a place', async () => {
    const pool = newPool({ maxSize: 1 })
    const gate = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const busy = pool.use('a', async () => {
      begun.resolve()
      await gate.promise
    })
    await begun.promise
    const waiting = thrownBy(idOf(pool, 'b'))
    await pool.dispose()
    expect(await waiting).toMatchObject({ name: 'ConfigurationError' })
    gate.resolve()
    await busy
    expect(pool.size).toBe(0)
  })

  test('accepts a sandbox that is already gone', async () => {
    const pool = newPool()
    await theazo.agent(await idOf(pool, 'a')).terminate()
    await pool.dispose()
    expect(pool.size).toBe(0)
  })

  test('waits for sandboxes that are already being ended', async () => {
    const gate = Promise.withResolvers<void>()
    const lastEnded = Promise.withResolvers<void>()
    let heldId: string | undefined
    const holdOne: typeof fetch = async (input, init) => {
      const isHeld = heldId !== undefined && String(input).endsWith(`${heldId}/terminate`)
      if (isHeld) await gate.promise
      const answer = await local.fetch(input, init)
      if (!isHeld && String(input).endsWith('/terminate')) lastEnded.resolve()
      return answer
    }
    const pool = newPool({ maxSize: 1 }, { fetch: holdOne })
    heldId = await idOf(pool, 'a')
    const last = await idOf(pool, 'b')
    const order: string[] = []
    const disposed = pool.dispose().then(() => order.push('disposed'))
    await lastEnded.promise
    order.push(await statusOf(last), await statusOf(heldId))
    gate.resolve()
    await disposed
    expect(order).toEqual(['terminated', 'idle', 'disposed'])
    expect(await statusOf(heldId)).toBe('terminated')
  })

  test('reports how many sandboxes could not be ended', async () => {
    await using api = await startApi({
      'POST /sessions/by-user/*': () => wireSession('ses_1'),
      'POST /sessions/ses_1/agents': () => new Answer(201, wireAgent('idle')),
      'POST /agents/agt_1/terminate': () => error(403, 'forbidden', 'no'),
    })
    const pool = new SandboxPool(new Theazo(api.options))
    await idOf(pool, 'a')
    const failed = await thrownBy(pool.dispose())
    expect(failed).toMatchObject({ name: 'AggregateError', errors: [{ name: 'ForbiddenError' }] })
  })
})

test('a process ends by itself even if its pool is not disposed', async () => {
  await using api = await startApi({
    'POST /sessions/by-user/*': () => wireSession('ses_1'),
    'POST /sessions/ses_1/agents': () => new Answer(201, wireAgent('idle')),
  })
  const program = `
import { Theazo } from '@theazo/core'
import { SandboxPool } from '@theazo/core/pool'
const pool = new SandboxPool(new Theazo(${JSON.stringify(api.options)}))
await pool.use('a', async () => {})
pool.adopt('b', new Theazo(${JSON.stringify(api.options)}).agent('agt_2'))
console.log(pool.size)`
  const cwd = dirname(fileURLToPath(import.meta.url))
  const args = ['--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 30_000 })
  expect(stdout).toBe('2\n')
})
