// The process of the egress proxy may end or stop: this ends the requests under way, and affects nothing else.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Agent } from '@theazo/core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { residentBytes, statusOf } from '../support/host-processes.ts'
import { outputOf } from '../support/each-server.ts'
import { isSoak } from '../support/soak.ts'
import { metricOf } from '../support/metrics.ts'
import { proxyPidOf, proxyPids } from './proxy-pids.ts'
import { rawClients } from './raw-clients.ts'
import {
  canCreateTestInternet,
  createTestInternet,
  type ReceivedRequest,
  type TestInternet,
  type TestInternetServer,
  withTestInternet,
} from './test-internet.ts'

let internet: TestInternet
beforeAll(() => {
  process.env['THEAZO_TEST_SECRET'] = secret // every server inherits it
})
withTestInternet((opened) => void (internet = opened))

const secret = 'secret-in-the-environment-of-the-server'
const hello = /^hello one\.example\.org at/
const get = 'curl -sS -m 20 http://one.example.org/'
const lossLine = 'the process of the egress proxy has ended'

/** Counts the occurrences of texts in a process's memory. It skips pages that were never touched (proc_pid_pagemap). */
const findInMemory = `
import itertools, re, sys
PAGE = 4096
pid, texts = sys.argv[1], sys.argv[2:]
forms = {text: (text.encode(), text.encode('utf-16-le')) for text in texts}
found, size = set(), 0
with open(f'/proc/{pid}/mem', 'rb', 0) as memory, open(f'/proc/{pid}/pagemap', 'rb', 0) as pagemap:
    for line in open(f'/proc/{pid}/maps'):
        if not (match := re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)): continue
        start, end = (int(each, 16) // PAGE for each in match.groups())
        pagemap.seek(start * 8)
        entries = memoryview(pagemap.read((end - start) * 8)).cast('Q')
        for is_there, run in itertools.groupby(range(len(entries)), lambda n: entries[n] >> 62 != 0):
            if not is_there: continue
            run = list(run)
            memory.seek((start + run[0]) * PAGE)
            data = memory.read(len(run) * PAGE)
            size += len(data)
            found |= {text for text, each in forms.items() if any(form in data for form in each)}
print(len(found), size > 1_000_000)`

/** Only `pnpm soak` also tests a server of a plain user: these tests take minutes. */
const kinds = isSoak ? [true, false] : [true]

describe.runIf(canCreateTestInternet).each(kinds)('the egress proxy process, with a root server: %s', (isRoot) => {
  let server: TestInternetServer
  let agent: Agent
  let bystander: Agent
  beforeAll(async () => {
    server = await internet.startServer(isRoot)
    agent = await server.newAgent(['one.example.org', 'one.example.org:22', 'one.example.org:23'])
    bystander = await server.newAgent()
  })
  afterAll(async () => await server[Symbol.asyncDispose]())
  beforeEach(async () => await internet.act('forget'))

  const serverPid = (): number => Number(server.process.child.pid)
  const losses = (): number => server.process.output.err.split(lossLine).length - 1
  const lossMetric = (): Promise<number> => metricOf(server.url, 'theazo_egress_proxy_losses_total')

  test('serves all agents, and starts for the first agent with network access', async () => {
    await using otherWorld = await createTestInternet()
    await using other = await otherWorld.startServer(isRoot)
    await other.newAgent()
    expect(proxyPids(other.process.child.pid)).toEqual([])
    await Promise.all([other.newAgent(['one.example.org']), other.newAgent(['one.example.org'])])
    await expect.poll(() => proxyPids(other.process.child.pid)).toHaveLength(1)
  })

  test('has no keys, environment, files or root rights of the server', async () => {
    expect(await outputOf(agent, 'bash', get)).toMatch(hello)
    const pid = proxyPidOf(serverPid())
    const environ = (of: number): string => readFileSync(`/proc/${of}/environ`, 'utf8')
    expect(environ(serverPid())).toContain(secret)
    expect(environ(pid).split('\0').filter(Boolean)).toEqual(['UV_THREADPOOL_SIZE=32'])
    const memoryOf = async (of: number): Promise<string> => {
      const args = ['-c', findInMemory, `${of}`, server.process.apiKey, secret]
      return (await promisify(execFile)('/usr/bin/python3', args)).stdout
    }
    expect(await memoryOf(serverPid())).toBe('2 True\n')
    expect(await memoryOf(pid)).toBe('0 True\n')
    const kinds = readdirSync(`/proc/${pid}/fd`).map((fd) =>
      readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/[[:].*/, ''),
    )
    expect(new Set(kinds)).toEqual(new Set(['socket', 'pipe', 'anon_inode', '/dev/null']))
    const status = statusOf(`${pid}`)
    expect(status).toMatch(/^Uid:\t([1-9]\d+)\t\1\t\1\t\1$/m)
    expect(status).toMatch(/^Groups:\t\s*$/m)
    expect(status).toMatch(/^CapPrm:\t0+$/m)
  })

  test('if killed: requests under way fail, and the next ones of the same agent work', async () => {
    const pid = proxyPidOf(serverPid())
    const [lossesBefore, metricBefore] = [losses(), await lossMetric()]
    const tunnels = async (): Promise<number> => (await internet.act<Record<string, number>>('open'))['23'] ?? 0
    const tunnelsBefore = await tunnels()
    const underWay = rawClients(agent, [
      ['GET http://one.example.org/silent HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['CONNECT one.example.org:23 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ])
    await expect.poll(async () => (await internet.act<ReceivedRequest[]>('seen')).length).toBe(1)
    await expect.poll(tunnels).toBe(tunnelsBefore + 1)
    process.kill(pid, 'SIGKILL')
    expect(await underWay).toMatchObject([
      { answer: '', isClosed: true },
      { answer: 'HTTP/1.1 200 Connection established\r\n\r\n', isClosed: true },
    ])
    expect(await outputOf(agent, 'bash', get)).toMatch(hello)
    expect(await outputOf(bystander, 'bash', 'echo alive')).toBe('alive')
    expect(proxyPids(serverPid())).not.toContain(pid)
    expect(await lossMetric()).toBe(metricBefore + 1)
    expect(losses()).toBe(lossesBefore + 1)
    expect((await server.newAgent(['one.example.org'])).data.status).toBe('idle')
  })

  test('is killed and replaced if it stops answering', async () => {
    const pid = proxyPidOf(serverPid())
    process.kill(pid, 'SIGSTOP')
    await expect.poll(() => proxyPids(serverPid()), { timeout: 40_000 }).not.toContain(pid)
    expect(await outputOf(agent, 'bash', get)).toMatch(hello)
  })

  test('limits the connections of each agent, also after a replacement', async () => {
    const connect = 'CONNECT one.example.org:23 HTTP/1.1\r\nHost: x\r\n\r\n'
    const code = `
import socket
sockets = [socket.create_connection(('127.0.0.1', 3128)) for _ in range(140)]
for each in sockets: each.sendall(${JSON.stringify(connect)}.encode())
answers = [each.recv(12)[9:].decode() for each in sockets]
print(answers.count('200'), answers.count('503'))`
    expect(await outputOf(agent, 'python', code)).toBe('128 12')
    await expect.poll(async () => await outputOf(agent, 'bash', get)).toMatch(hello)
  })

  test('bounds the memory that a slow client uses', async () => {
    const pid = proxyPidOf(serverPid())
    const request = 'GET http://one.example.org/big?bytes=200000000 HTTP/1.1\r\nHost: x\r\n\r\n'
    const code = `
import socket, time
sockets = [socket.create_connection(('127.0.0.1', 3128)) for _ in range(10)]
for each in sockets: each.sendall(${JSON.stringify(request)}.encode())
time.sleep(2)`
    const before = residentBytes(pid)
    const running = outputOf(agent, 'python', code)
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, residentBytes(pid))), 100)
    await running
    clearInterval(watch)
    expect(most - before).toBeLessThan(80 * 2 ** 20)
  })

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'ends with a server that %s ends, and leaves no socket',
    async (signal) => {
      await using otherWorld = await createTestInternet()
      const other = await otherWorld.startServer(isRoot)
      const one = await other.newAgent(['one.example.org'])
      expect(await outputOf(one, 'bash', get)).toMatch(hello)
      const pid = proxyPidOf(other.process.child.pid)
      const folder = dirname(dirname(readlinkSync(`/proc/${pid}/cwd`)))
      expect(readdirSync(join(folder, 'egress'))).toHaveLength(1)
      other.process.child.kill(signal)
      await other[Symbol.asyncDispose]()
      await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false)
      // The next server removes the files of a killed one.
      if (signal === 'SIGKILL') await (await otherWorld.startServer(isRoot))[Symbol.asyncDispose]()
      expect(existsSync(folder)).toBe(false)
    },
    180_000,
  )
})
