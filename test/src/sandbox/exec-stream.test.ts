// A streamed exec with an `Idempotency-Key`: whatever interrupts it, its code never runs twice (contract,
// `exec-stream`).
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalTheazo, type ListeningTheazo, listenTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CallerOptions } from '../support/api-caller.ts'
import { ExecStreamClient } from './exec-stream-client.ts'
import { ServerTestClock } from '../support/clock.ts'
import { sandboxRoles, signal } from '../support/sandbox-processes.ts'
import { root, startServer } from '../support/server-process.ts'

const bin = join(root, 'packages/server/dist/bin.js')
const isRoot = process.getuid?.() === 0
const logs: string[] = []

let local: LocalTheazo
let remote: ListeningTheazo
beforeAll(async () => {
  const log = { write: (line: string) => void logs.push(line) }
  local = await createLocalTheazo({ log })
  remote = await listenTheazo({ port: 0, log })
})
afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await remote[Symbol.asyncDispose]()
})

const places: [name: string, options: () => CallerOptions][] = [
  ['in-process', () => local],
  ['over a port', () => ({ baseUrl: remote.url, apiKey: remote.apiKey })],
]
const newKey = () => ({ 'idempotency-key': crypto.randomUUID() })
/** Bash that counts its runs, prints `begun`, and runs until the file `go` exists. */
const counted = 'echo x >> runs; echo begun; until [[ -e go ]]; do sleep 0.02; done; echo ended'

describe.each(places)('%s', (place, options) => {
  const streams = () => ExecStreamClient.open(options())

  test('the same key again returns the final JSON, for a stream and for JSON, and runs nothing', async () => {
    const own = await streams()
    const key = newKey()
    const code = 'echo x >> runs; echo out; echo err >&2; exit 3'
    const events = await own.all(code, key)
    expect(events.map(({ event }) => event).toSorted()).toEqual(['exit', 'stderr', 'stdout'])
    const last = events.at(-1)
    expect(last).toMatchObject({ event: 'exit', data: { stdout: 'out\n', stderr: 'err\n', exitCode: 3 } })
    for (const accept of ['text/event-stream', 'application/json']) {
      const again = await own.post(code, { ...key, accept })
      expect(again.headers.get('content-type')).toBe('application/json')
      expect(again.headers.get('idempotent-replayed')).toBe('true')
      expect([again.status, await again.json()]).toEqual([200, last?.data])
    }
    expect(await own.runs()).toBe(1)
  })

  test('the same key during the stream waits for its end', async () => {
    const own = await streams()
    const key = newKey()
    const first = await own.begin(counted, key)
    expect(await first.next()).toMatchObject({ event: 'stdout', data: { text: 'begun\n' } })
    let isAnswered = false
    const second = own.post(counted, key).finally(() => (isAnswered = true))
    expect(await own.runs()).toBe(1) // gives the second request time for a wrong early response
    expect(isAnswered).toBe(false)
    await own.endCode()
    const events = await first.rest()
    expect(await (await second).json()).toEqual(events.at(-1)?.data)
    expect(await own.runs()).toBe(1)
  })

  test.each(['cancels the body', 'aborts the request', 'has read nothing yet'])(
    'a reader that %s ends the code; its key then returns 409 `interrupted`, and no error is logged',
    async (how) => {
      const own = await streams()
      const key = newKey()
      const abort = new AbortController()
      const reader = await own.begin(counted, key, abort.signal)
      await own.exec('until [[ -e runs ]]; do sleep 0.02; done')
      logs.length = 0
      if (how !== 'has read nothing yet') expect(await reader.next()).toMatchObject({ event: 'stdout' })
      if (how === 'aborts the request') abort.abort()
      else await reader.cancel()
      expect(await own.reasonOf(counted, key)).toBe('interrupted')
      await own.endCode()
      expect(await own.runs()).toBe(1)
      expect((await own.exec('ls /run/theazo | wc -l')).stdout).toBe('1\n') // the folder of this exec
      expect(logs.filter((line) => line.includes('"level":50'))).toEqual([])
    },
  )

  test('a caller that disconnects before the first output leaves its key as interrupted', async () => {
    const own = await streams()
    const key = newKey()
    const abort = new AbortController()
    const silent = counted.replace('echo begun;', '')
    const lost = own.begin(silent, key, abort.signal).catch((error: unknown) => error)
    await own.exec('until [[ -e runs ]]; do sleep 0.02; done')
    abort.abort(new Error('left'))
    expect(await lost).toBeInstanceOf(Error)
    expect(await own.reasonOf(silent, key)).toBe('interrupted')
    expect(await own.runs()).toBe(1)
  })

  test('output over 1 MiB is streamed completely, and not stored', async () => {
    const own = await streams()
    const key = newKey()
    const code = 'echo x >> runs; head -c 1200000 /dev/zero | tr "\\0" y'
    const events = await own.all(code, key)
    const text = events.flatMap(({ event, data }) => (event === 'stdout' ? [data.text] : [])).join('')
    expect(text === 'y'.repeat(1_200_000)).toBe(true)
    expect(await own.reasonOf(code, key)).toBe('not_kept')
    expect(await own.runs()).toBe(1)
  })

  test('a reader that pauses loses nothing, and does not delay the code', async () => {
    const own = await streams()
    const reader = await own.begin('head -c 9000000 /dev/zero | tr "\\0" y; touch written', newKey())
    await own.exec('until [[ -e written ]]; do sleep 0.02; done')
    const events = await reader.rest()
    const text = events.flatMap(({ event, data }) => (event === 'stdout' ? [data.text] : [])).join('')
    expect([text.length, events.at(-1)?.data.exitCode]).toEqual([9_000_000, 0])
  })

  test('a failure before the first output returns its status, and one after it an `error` event', async () => {
    const own = await streams()
    const plain = async (answer: Promise<Response>) => {
      const { status, headers } = await answer
      return [status, headers.get('content-type')]
    }
    const json = 'application/json'
    expect(await plain(own.post('sleep 60', {}, { timeoutMs: 50 }))).toEqual([504, json])
    expect(await plain(own.post('true', {}, { timeoutMs: -1 }))).toEqual([422, json])
    expect(await plain(own.post('true', { authorization: 'Bearer no' }))).toEqual([401, json])
    expect(await plain(own.post('true', {}, {}, 'agt_01ARZ3NDEKTSV4RRFFQ69G5FAV'))).toEqual([404, json])
    const late = await own.all('echo begun; sleep 60', newKey(), { timeoutMs: 1500 })
    expect(late).toMatchObject([
      { event: 'stdout', data: { text: 'begun\n' } },
      { event: 'error', data: { code: 'timeout', message: expect.stringContaining('1.5 s') } },
    ])
    const reader = await own.begin(counted, newKey())
    await reader.next()
    await own.terminate()
    expect(await reader.rest()).toMatchObject([{ event: 'error', data: { code: 'conflict' } }])
    expect(await plain(own.post('true'))).toEqual([409, json])
  })

  test('a reached cap is an `error` event in a started stream, and 402 afterwards', async () => {
    const clock = new ServerTestClock('2026-03-10T12:00:00Z')
    await using own = await ExecStreamClient.openNew(place === 'in-process', { clock })
    await own.limit({ maxComputeMinutes: 1 })
    const reader = await own.begin(counted, newKey())
    expect(await reader.next()).toMatchObject({ event: 'stdout' })
    await clock.advance(61_000)
    expect(await reader.rest()).toMatchObject([{ event: 'error', data: { code: 'session_limit_exceeded' } }])
    const after = await own.post('true')
    expect([after.status, after.headers.get('content-type')]).toEqual([402, 'application/json'])
  })

  test('a comment is sent after every 15 seconds of silence, and none after the end', async () => {
    const clock = new ServerTestClock('2026-03-10T12:00:00Z')
    await using own = await ExecStreamClient.openNew(place === 'in-process', { clock })
    const running = own.post(counted.replace('echo begun;', ''), newKey())
    await own.exec('until [[ -e runs ]]; do sleep 0.02; done')
    await clock.advance(15_000)
    const response = await running // resolves with the first byte, the comment
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    await clock.advance(30_000)
    await own.endCode()
    expect(await response.text()).toMatch(
      /^(: \n\n){3}event: stdout\ndata: {"text":"ended\\n"}\n\nevent: exit\ndata: .*\n\n$/,
    )
  })

  test.runIf(isRoot)(
    'a killed supervisor ends the stream with an `error` event, and the key is interrupted',
    async () => {
      const own = await streams()
      const key = newKey()
      const uid = Number((await own.exec('id -u')).stdout)
      const reader = await own.begin(counted, key)
      await reader.next()
      expect(signal(sandboxRoles(uid).supervisor, 'SIGKILL')).toBe(true)
      expect(await reader.rest()).toMatchObject([{ event: 'error', data: { code: 'provider_error' } }])
      expect(await own.reasonOf(counted, key)).toBe('interrupted')
      expect(await own.runs()).toBe(1)
    },
  )
})

describe.each<[NodeJS.Signals, string]>([
  ['SIGKILL', 'interrupted'],
  ['SIGTERM', 'interrupted'],
])('a server that ends by %s during a stream', (name, reason) => {
  test('never runs the code again, and returns 409 after its restart', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'theazo-stream-'))
    const args = [bin, 'serve', '--port', '0', '--data-dir', dataDir, '--drain-seconds', '1', '--json']
    const key = newKey()
    try {
      let own: ExecStreamClient
      {
        await using server = await startServer(process.execPath, args)
        own = await ExecStreamClient.open({ baseUrl: server.url, apiKey: server.apiKey })
        const reader = await own.begin(counted, key)
        await reader.next()
        server.child.kill(name)
        await reader.rest().catch(() => {}) // the stream breaks, or ends with an error event
        await server.ended
      }
      await using server = await startServer(process.execPath, args)
      own.moveTo(server.url)
      expect(await own.reasonOf(counted, key)).toBe(reason)
      expect(await own.runs()).toBe(1)
    } finally {
      rmSync(dataDir, { recursive: true })
    }
  })
})

test('the result of a stream that ends while the server drains is stored: its key returns it after a restart', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'theazo-stream-'))
  const args = [bin, 'serve', '--port', '0', '--data-dir', dataDir, '--drain-seconds', '60', '--json']
  const key = newKey()
  try {
    let own: ExecStreamClient
    let last: unknown
    {
      await using server = await startServer(process.execPath, args)
      own = await ExecStreamClient.open({ baseUrl: server.url, apiKey: server.apiKey })
      const code = counted.replace('until [[ -e go ]]; do sleep 0.02; done', 'sleep 1')
      const reader = await own.begin(code, key)
      await reader.next()
      server.child.kill('SIGTERM')
      last = (await reader.rest()).at(-1)
      expect(last).toMatchObject({ event: 'exit', data: { exitCode: 0 } })
      expect(await server.ended).toBe(0)
    }
    await using server = await startServer(process.execPath, args)
    own.moveTo(server.url)
    const again = await own.post(counted.replace('until [[ -e go ]]; do sleep 0.02; done', 'sleep 1'), key)
    expect({ event: 'exit', data: await again.json() }).toEqual(last)
    expect(await own.runs()).toBe(1)
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})
