import type { Agent, Feature, Session, Theazo } from '@theazo/core'
import { describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'

/**
 * Parts of the reference that a server may lack: `code` if it does not run code (test keys), `run` if its agents have
 * no model that reads the directives of test keys.
 */
export type ReferencePart = 'code' | 'run'

/** The server under test. The objects are opened before the tests, so functions return them. */
interface Subject {
  theazo: () => Theazo
  session: () => Session
  agent: () => Agent
  has: (feature: Feature) => boolean
  missingParts: ReferencePart[]
}

/**
 * Omits tests of parts that a server does not have by design. They are not even reported as skipped, unlike extensions.
 */
export const omit = (): void => {}

/**
 * Tests of files, lists, usage and extensions. Missing extensions are skipped; unsupported-features.test.ts tests the
 * refusals.
 */
export function describeParts({ theazo, session, agent, has, missingParts }: Subject): void {
  const describeCode = missingParts.includes('code') ? omit : describe
  const testCode = missingParts.includes('code') ? omit : test

  describeCode('files', () => {
    test('are written, read, listed, moved and removed', async () => {
      const { files } = agent()
      const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) % 251)
      await files.write('suite/bytes', bytes)
      await files.write('suite/tëxt 😀', 'héllo')
      expect(Buffer.compare(await files.read('suite/bytes'), bytes)).toBe(0)
      expect(await files.readText('suite/tëxt 😀')).toBe('héllo')
      expect((await files.list('suite')).map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
        ['bytes', 300_000],
        ['tëxt 😀', 6],
      ])
      expect((await agent().exec('bash', 'wc -c < suite/bytes')).stdout.trim()).toBe('300000')
      await files.rename('suite/bytes', 'suite/moved')
      expect([await files.exists('suite/bytes'), await files.exists('suite/moved')]).toEqual([false, true])
      await files.mkdir('suite/in/it')
      expect((await files.stat('suite/in')).type).toBe('directory')
      await files.remove('suite', { isRecursive: true })
      await expect(files.read('suite/moved')).rejects.toMatchObject({
        name: 'FileError',
        code: 'file_not_found',
        details: { path: 'suite/moved' },
      })
    })
  })

  describe('lists', () => {
    test('contain sessions newest first, in pages or as a whole', async () => {
      const ids: string[] = []
      for (let n = 0; n < 5; n += 1) ids.unshift((await theazo().sessions.create({ userId: 'listed' })).id)
      const { data, nextCursor, hasMore } = await theazo().sessions.list({ limit: 2 }).page()
      expect([data.map(({ id }) => id), hasMore]).toEqual([ids.slice(0, 2), true])
      const next = await theazo().sessions.list({ limit: 2, cursor: nextCursor }).page()
      expect(next.data.map(({ id }) => id)).toEqual(ids.slice(2, 4))
      const all = await collect(theazo().sessions.list({ limit: 2 }))
      expect(all.slice(0, 5).map(({ id }) => id)).toEqual(ids)
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
    })
  })

  describe('usage', () => {
    test('parts add up to the total', async () => {
      const { compute, models, storage, total } = await theazo().usage.summary()
      expect(compute.cost.amount + models.cost.amount + storage.cost.amount).toBe(total.amount)
    })

    test('a from after until is refused', async () => {
      const summary = theazo().usage.summary({ from: '2026-02-01', until: new Date('2026-01-01') })
      await expect(summary).rejects.toMatchObject({ name: 'UnprocessableEntityError' })
    })
  })

  describe('pause', () => {
    test('a paused agent refuses code until it is resumed', async () => {
      await using own = await session().agents.create()
      expect((await own.pause()).data.status).toBe('paused')
      await expect(own.exec('bash', 'true')).rejects.toMatchObject({ name: 'ConflictError' })
      expect((await own.resume()).data.status).toBe('idle')
      expect((await own.exec('bash', 'true')).exitCode).toBe(0)
    })

    testCode('an agent has its files after pause and resume', async () => {
      await using own = await session().agents.create()
      await own.files.write('kept', 'x')
      await own.pause()
      await own.resume()
      expect(await own.files.readText('kept')).toBe('x')
    })
  })

  describe('with the extension', () => {
    test('agents: a name finds the same agent again, and its metadata is stored', async ({ skip }) => {
      skip(!has('agents'), 'no agents')
      const options = { name: 'named', metadata: { purpose: 'suite' } }
      await using first = await session().agents.create(options)
      const again = await session().agents.create({ name: 'named' })
      expect([first.isNew, again.isNew, again.id]).toEqual([true, false, first.id])
      expect(again.data).toMatchObject(options)
    })

    test('sessions: update merges, null removes', async ({ skip }) => {
      skip(!has('sessions'), 'no sessions')
      const own = await theazo().sessions.create({
        userId: 'updated',
        metadata: { a: 1, b: 2 },
        limits: { maxAgents: 1 },
      })
      await own.update({ metadata: { b: null, c: 3 }, limits: { maxAgents: null, maxComputeMinutes: 5 } })
      expect(own.data).toMatchObject({ metadata: { a: 1, c: 3 }, limits: { maxComputeMinutes: 5 } })
      expect([Object.hasOwn(own.data.metadata, 'b'), own.data.limits.maxAgents]).toEqual([false, undefined])
      await own.terminate()
      expect((await own.refresh()).data.status).toBe('terminated')
    })

    test('sessions: lists are filtered, and a session lists its agents', async ({ skip }) => {
      skip(!has('sessions'), 'no sessions')
      const own = await theazo().sessions.create({ userId: 'filtered' })
      await using made = await own.agents.create({ waitUntilReady: true })
      const found = await collect(theazo().sessions.list({ userId: 'filtered', status: 'active' }))
      expect(found.map(({ id }) => id)).toContain(own.id)
      expect(found.every(({ data }) => data.userId === 'filtered')).toBe(true)
      expect((await collect(own.agents.list({ status: 'idle' }))).map(({ id }) => id)).toEqual([made.id])
      expect(await collect(own.agents.list({ status: 'terminated' }))).toEqual([])
    })

    testCode('exec-stdin: text and bytes arrive as they are', async ({ skip }) => {
      skip(!has('exec-stdin'), 'no exec-stdin')
      const text = 'é😀\n"$`\\ \u0000'
      expect((await agent().exec('bash', 'cat', { stdin: text })).stdout).toBe(text)
      const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 256)
      const { stdout } = await agent().exec('bash', 'base64 -w0', { stdin: bytes })
      expect(stdout).toBe(Buffer.from(bytes).toString('base64'))
    })

    testCode('exec-options: environment and working folder', async ({ skip }) => {
      skip(!has('exec-options'), 'no exec-options')
      const options = { env: { GREETING: 'hé llo\n' }, cwd: '/home/agent' }
      expect((await agent().exec('bash', 'printf %s "$GREETING$PWD"', options)).stdout).toBe('hé llo\n/home/agent')
    })

    testCode('exec-files: new files are reported', async ({ skip }) => {
      skip(!has('exec-files'), 'no exec-files')
      const { files } = await agent().exec('bash', 'printf 12345 > reported.txt')
      expect(files).toContainEqual(expect.objectContaining({ path: '/workspace/reported.txt', sizeBytes: 5 }))
    })

    testCode('exec-stream: output comes while the code runs, and leaving the loop ends the code', async ({ skip }) => {
      skip(!has('exec-stream'), 'no exec-stream')
      for await (const chunk of agent().execStream(
        'bash',
        'echo first; while true; do date +%s%N > ticks; sleep 0.02; done',
      )) {
        expect(chunk).toEqual({ type: 'stdout', text: 'first\n' })
        break
      }
      const still = 'last=; until [[ $(cat ticks) == "$last" ]]; do last=$(cat ticks); sleep 0.2; done; echo still'
      expect((await agent().exec('bash', still)).stdout).toBe('still\n')
    })

    testCode('idempotency: the same key runs code once', async ({ skip }) => {
      skip(!has('idempotency'), 'no idempotency')
      const options = { idempotencyKey: crypto.randomUUID() }
      const code = 'echo x >> once; cat once'
      const [first, second] = [await agent().exec('bash', code, options), await agent().exec('bash', code, options)]
      expect([first.stdout, second.stdout]).toEqual(['x\n', 'x\n'])
    })
  })
}
