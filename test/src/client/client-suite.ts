import { type Agent, ConfigurationError, type Feature, type Session, Theazo, type TheazoOptions } from '@theazo/core'
import { collect } from '../support/collect.ts'
import { describeParts, omit, type ReferencePart } from './client-suite-extensions.ts'
import { describeRuns } from './client-suite-runs.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** A server to test, and how the client reaches it. */
export type OpenServer = () => Promise<TheazoOptions & { baseUrl: string; apiKey: string } & AsyncDisposable>

/**
 * Tests of the client against any server that implements the contract. The header `Theazo-Features` selects the tests
 * of extensions; for a missing one, the client's refusal is tested.
 *
 * @param missingParts Parts of the reference that the server does not have: their tests are omitted.
 */
export function describeClient(name: string, open: OpenServer, missingParts: ReferencePart[] = []): void {
  describe(`the client on ${name}`, () => {
    let server: Awaited<ReturnType<OpenServer>>
    let theazo: Theazo
    let session: Session
    let agent: Agent
    let features: Set<string>
    const requests: string[] = []

    const has = (feature: Feature): boolean => features.has(feature)
    /** The requests that are sent while the work runs. */
    const sentBy = async (work: () => Promise<unknown>): Promise<string[]> => {
      const from = requests.length
      await work()
      return requests.slice(from)
    }

    beforeAll(async () => {
      server = await open()
      const ask = server.fetch ?? fetch
      const { headers } = await ask(`${server.baseUrl}/agents/agt_none`, {
        headers: { authorization: `Bearer ${server.apiKey}` },
      })
      features = new Set((headers.get('theazo-features') ?? '').split(',').map((feature) => feature.trim()))
      const onRequest = ({ method, url }: { method: string; url: string }) =>
        requests.push(`${method} ${url.slice(server.baseUrl.length)}`)
      theazo = new Theazo({ ...server, hooks: { onRequest } })
      session = await theazo.sessions.forUser('suite')
      agent = await session.agents.create()
    })
    afterAll(() => server[Symbol.asyncDispose]())

    describe('sessions', () => {
      test('create makes a new session for each call, with limits and metadata', async () => {
        const options = { userId: 'created', limits: { maxAgents: 3 }, metadata: { plan: 'pro', n: [1, null] } }
        const [a, b] = [await theazo.sessions.create(options), await theazo.sessions.create(options)]
        expect(a.data).toMatchObject({ ...options, id: a.id, status: 'active' })
        expect(a.id).toMatch(/^ses_/)
        expect(b.id).not.toBe(a.id)
        expect((await theazo.sessions.forUser('created')).id).toBe(b.id)
      })

      test('forUser returns one session, also for concurrent calls, and only its first options apply', async () => {
        const first = await theazo.sessions.forUser('one', { metadata: { first: true } })
        const calls = Array.from({ length: 10 }, () => theazo.sessions.forUser('one', { metadata: { first: false } }))
        const again = await Promise.all(calls)
        expect(new Set(again.map(({ id }) => id))).toEqual(new Set([first.id]))
        expect(again[0]?.data.metadata).toEqual({ first: true })
        const fresh = await Promise.all(Array.from({ length: 10 }, () => theazo.sessions.forUser('another')))
        expect(new Set(fresh.map(({ id }) => id)).size).toBe(1)
      })

      test.each(['a/b', 'a b?c#d', '%2F', 'é漢😀', 'user@example.com', '...', ' x ', '+', '"', 'x'.repeat(256)])(
        'a user id may be %j',
        async (userId) => {
          expect((await theazo.sessions.forUser(userId)).data.userId).toBe(userId)
        },
      )

      test.each(['.', '..'])('the user id %j reaches no other route', async (userId) => {
        // No URL can contain such a segment (WHATWG URL, 4.4), so it is refused unless the server has its own encoding.
        const result = await theazo.sessions.forUser(userId).catch((error: unknown) => error)
        const isRefused = ConfigurationError.isInstance(result)
        expect(result).toMatchObject(isRefused ? { code: 'configuration_error' } : { data: { userId } })
      })

      test('the error of an invalid session names each invalid field', async () => {
        const error = await theazo.sessions.create({ userId: '' }).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ name: 'UnprocessableEntityError', status: 422, requestId: expect.any(String) })
        expect(error).toHaveProperty('fields.userId')
      })

      test('get returns a session by its id', async ({ skip }) => {
        const found = await theazo.sessions.get(session.id).catch((error: unknown) => error)
        skip(!has('sessions') && found instanceof Error, 'no sessions')
        expect(found).toMatchObject({ id: session.id, data: { userId: 'suite' } })
        expect((await theazo.session(session.id).refresh()).data.userId).toBe('suite')
      })

      test('an unknown id is not found; without the extension it is not supported', async () => {
        const name = has('sessions') ? 'NotFoundError' : 'NotSupportedError'
        await expect(theazo.sessions.get('ses_none')).rejects.toMatchObject({ name, status: 404 })
        await expect(theazo.session('ses_none').terminate()).rejects.toMatchObject({ name, status: 404 })
      })

      test('a handle from an id needs no request, has no data, and creates agents', async () => {
        const sent = await sentBy(async () => {
          const handle = theazo.session(session.id)
          expect(() => handle.data).toThrow(ConfigurationError)
          await using made = await handle.agents.create()
          expect(made.data.sessionId).toBe(session.id)
        })
        expect(sent.map((line) => line.split('/').at(-1))).toEqual(['agents', 'terminate'])
      })
    })

    describe('agents', () => {
      test('create returns an agent of the session, and waits until it is ready if requested', async () => {
        await using made = await session.agents.create({ waitUntilReady: true, timeoutSeconds: 120 })
        expect(made.id).toMatch(/^agt_/)
        expect(made.data).toMatchObject({
          id: made.id,
          sessionId: session.id,
          status: 'idle',
          timeout: 120,
          task: null,
        })
        expect(made.isNew).toBe(true)
      })

      test('a handle from an id needs no request, has no data until refresh, and runs code', async () => {
        const handle = theazo.agent(agent.id)
        expect(() => handle.data).toThrow('refresh()')
        expect((await handle.exec('bash', 'echo hi')).stdout).toBe('hi\n')
        expect(() => handle.data).toThrow(ConfigurationError)
        expect((await handle.refresh()).data.sessionId).toBe(session.id)
        expect((await theazo.agents.get(agent.id)).data).toEqual(handle.data)
      })

      test('terminate may be repeated; afterwards exec is a conflict, and the agent can still be read', async () => {
        const own = await session.agents.create()
        await own.terminate()
        await own.terminate()
        await expect(own.exec('bash', 'true')).rejects.toMatchObject({ name: 'ConflictError', status: 409 })
        expect((await theazo.agents.get(own.id)).data.status).toBe('terminated')
      })

      test('await using terminates, once', async () => {
        let id = ''
        const sent = await sentBy(async () => {
          await using own = await session.agents.create()
          id = own.id
          await own.terminate()
        })
        expect(sent.filter((line) => line.endsWith(`/${id}/terminate`))).toHaveLength(1)
        {
          await using own = await session.agents.create()
          id = own.id
        }
        expect((await theazo.agents.get(id)).data.status).toBe('terminated')
      })

      test('an unknown agent or session is not found', async () => {
        const error = { name: 'NotFoundError', code: 'not_found', status: 404, requestId: expect.any(String) }
        await expect(theazo.agents.get('agt_none')).rejects.toMatchObject(error)
        await expect(theazo.agent('agt_none').exec('bash', 'true')).rejects.toMatchObject(error)
        await expect(theazo.session('ses_none').agents.create()).rejects.toMatchObject(error)
      })

      test('an unknown compute provider is refused', async () => {
        const create = session.agents.create({ compute: { provider: 'no-such-provider' } })
        await expect(create).rejects.toMatchObject({ name: 'UnprocessableEntityError', status: 422 })
      })
    })

    const describeCode = missingParts.includes('code') ? omit : describe
    describeCode('exec', () => {
      test.each([
        ['python', 'import sys; print("out"); print("err", file=sys.stderr); sys.exit(3)', 3],
        ['typescript', 'const x: string = "out"; console.log(x); console.error("err"); process.exit(4)', 4],
        ['bash', 'echo out; echo err >&2; exit 5', 5],
      ] as const)('%s: the result contains output, errors and exit code', async (lang, code, exitCode) => {
        const result = await agent.exec(lang, code)
        expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n', exitCode, durationMs: expect.any(Number) })
      })

      test('callbacks receive all output: in chunks, or once at the end if the server does not stream', async () => {
        const code = 'for n in 1 2 3; do echo out$n; echo err$n >&2; sleep 0.05; done'
        const pieces: Record<'out' | 'err', string[]> = { out: [], err: [] }
        const result = await agent.exec('bash', code, {
          onStdout: (text) => pieces.out.push(text),
          onStderr: (text) => pieces.err.push(text),
        })
        expect(result).toMatchObject({ stdout: 'out1\nout2\nout3\n', stderr: 'err1\nerr2\nerr3\n', exitCode: 0 })
        expect([pieces.out.join(''), pieces.err.join('')]).toEqual([result.stdout, result.stderr])
        const isOnce = pieces.out.length === 1 && pieces.err.length === 1
        expect(isOnce || has('exec-stream')).toBe(true)
      })

      test('callbacks are not called without output', async () => {
        const received: string[] = []
        const record = (text: string) => received.push(text)
        expect((await agent.exec('bash', '', { onStdout: record, onStderr: record })).exitCode).toBe(0)
        expect(received).toEqual([])
      })

      test('execStream yields the output, then the exit', async () => {
        const chunks = await collect(agent.execStream('bash', 'echo out; echo err >&2; exit 2'))
        const textOf = (type: 'stdout' | 'stderr') =>
          chunks.map((chunk) => (chunk.type === type ? chunk.text : '')).join('')
        expect([textOf('stdout'), textOf('stderr')]).toEqual(['out\n', 'err\n'])
        expect(chunks.slice(0, -1).every(({ type }) => type !== 'exit')).toBe(true)
        expect(chunks.at(-1)).toMatchObject({ type: 'exit', result: { stdout: 'out\n', stderr: 'err\n', exitCode: 2 } })
      })

      test.each([
        new Error('mine'),
        new TypeError('x is not a function'),
        Object.assign(new Error('full'), { code: 'ENOSPC' }),
      ])('exec rejects with the error that a callback throws: %s', async (mine) => {
        const onStdout = (): never => {
          throw mine
        }
        await expect(agent.exec('bash', 'echo out', { onStdout })).rejects.toBe(mine)
        await expect(agent.exec('bash', 'echo out', { onStdout: async () => onStdout() })).rejects.toBe(mine)
      })

      test('an abort rejects with its reason and ends the code', async () => {
        const abort = new AbortController()
        const reason = new Error('enough')
        const code = 'touch started; while true; do date +%s%N > tick; sleep 0.02; done'
        const ended = agent.exec('bash', code, { signal: abort.signal }).catch((error: unknown) => error)
        await agent.exec('bash', 'until [[ -e started ]]; do sleep 0.02; done')
        abort.abort(reason)
        expect(await ended).toBe(reason)
        const still = 'last=; until [[ $(cat tick) == "$last" ]]; do last=$(cat tick); sleep 0.2; done; echo still'
        expect((await agent.exec('bash', still)).stdout).toBe('still\n')
      })

      test('the timeout of a call is a TimeoutError, from the server if it supports timeouts', async () => {
        const call = agent.exec('bash', 'sleep 60', { timeoutMs: 200 })
        const name = has('exec-options') ? 'ServerTimeoutError' : 'TimeoutError'
        await expect(call).rejects.toMatchObject({ name, code: has('exec-options') ? 'timeout' : 'client_timeout' })
      })
    })

    if (!missingParts.includes('run')) describeRuns({ session: () => session })

    describeParts({ has, missingParts, agent: () => agent, session: () => session, theazo: () => theazo })
  })
}
