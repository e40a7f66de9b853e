// The egress proxy alone. A network namespace stands in for the internet; the test connects to its socket as a sandbox
// would.
import { request, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { text } from 'node:stream/consumers'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  canCreateTestInternet,
  type ReceivedRequest,
  type ConnectionRecord,
  type TestInternet,
  withTestInternet,
} from './test-internet.ts'

let internet: TestInternet
let count = 0
withTestInternet((opened) => void (internet = opened))
beforeEach(async () => await internet?.act('forget'))

/** Opens a proxy. By default the allowed host has one public address. */
async function proxied(options: object = {}) {
  const name = `proxy-${(count += 1)}`
  const answers = { 'one.example.org': [['93.184.1.1']] }
  const path = await internet.act<string>('openProxy', {
    name,
    allow: ['one.example.org', '*:22', '*:23'],
    answers,
    ...options,
  })
  return {
    path,
    report: async () => await internet.act<{ asked: string[]; ended: ConnectionRecord[] }>('proxy', { name }),
    close: async () => await internet.act('closeProxy', { name }),
  }
}

/** Sends bytes unchanged, and returns the whole response. */
async function raw(path: string, bytes: string): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true })
  socket.write(bytes)
  const answer = await text(socket)
  socket.destroy()
  return answer
}

async function get(
  path: string,
  url: string,
  options: object = {},
): Promise<{ status?: number; body: string; answer: IncomingMessage }> {
  const call = request({ socketPath: path, path: url, ...options }).end()
  const answer = await new Promise<IncomingMessage>((resolve, reject) =>
    call.on('response', resolve).on('error', reject),
  )
  return { status: answer.statusCode ?? 0, body: await text(answer), answer }
}

/** Requests a tunnel, and returns its socket and the head of the response. */
async function tunnelTo(path: string, authority: string): Promise<{ socket: Socket; head: string }> {
  const socket = connect({ path, allowHalfOpen: true })
  socket.on('error', () => {})
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
  const head = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(String(chunk))))
  return { socket, head }
}

const seen = async (): Promise<ReceivedRequest[]> => await internet.act('seen')

describe.runIf(canCreateTestInternet)('the egress proxy', () => {
  describe('hosts', () => {
    const answers = {
      'private.test': [['10.13.13.13']],
      'mixed.test': [['93.184.1.1', '10.13.13.13']],
      'metadata.test': [['169.254.169.254']],
      'mapped.test': [['::ffff:10.13.13.13']],
      'own.test': [['93.185.1.1']],
      'public.test': [['93.184.1.1']],
      'six.test': [['2606:2800::1']],
    }

    test.each(['public.test', 'six.test', '93.184.1.9', '[2606:2800::9]'])(
      '%s is public and can be reached',
      async (host) => {
        const { path } = await proxied({ allow: ['*'], answers })
        const { status, body } = await get(path, `http://${host}/`)
        expect([status, body]).toEqual([
          200,
          expect.stringMatching(/^hello .* at (93\.184\.1\.[19]|2606:2800::[19])\n$/),
        ])
        expect((await tunnelTo(path, `${host}:443`)).head).toMatch(/^HTTP\/1.1 200 /)
      },
    )

    test('the hosts of the refusals below would answer without the proxy', async () => {
      for (const host of ['10.13.13.13', '169.254.169.254', '127.0.0.1', '[::1]', '93.185.1.1']) {
        expect([host, await internet.act('control', { url: `http://${host}/` })]).toEqual([host, 200])
      }
    })

    test.each([
      ['private.test', 'private.test resolves to'],
      ['mixed.test', 'mixed.test resolves to'],
      ['metadata.test', 'metadata.test resolves to'],
      ['mapped.test', 'mapped.test resolves to'],
      ['own.test', 'own.test resolves to'],
      ['10.13.13.13', '10.13.13.13 is'],
      ['169.254.169.254', '169.254.169.254 is'],
      ['0xa9fea9fe', '169.254.169.254 is'],
      ['127.1', '127.0.0.1 is'],
      ['[::1]', '::1 is'],
      ['[::ffff:10.13.13.13]', '::ffff:a0d:d0d is'],
    ])('%s is refused because its address is not public', async (host, what) => {
      const { path } = await proxied({ allow: ['*'], answers })
      const { status, body } = await get(path, `http://${host}/`)
      expect([status, body]).toEqual([403, `theazo: ${what} an address that is not public\n`])
      expect((await tunnelTo(path, `${host}:80`)).head).toMatch(/^HTTP\/1.1 403 theazo: .* not public\r\n/)
      expect(await seen()).toEqual([])
    })

    test('connects to the address that was checked, even if the name resolves to another one later', async () => {
      const { path, report } = await proxied({ answers: { 'one.example.org': [['93.184.1.1'], ['169.254.169.254']] } })
      expect((await get(path, 'http://one.example.org/')).body).toBe('hello one.example.org at 93.184.1.1\n')
      expect((await report()).asked).toEqual(['one.example.org'])
      expect((await get(path, 'http://one.example.org/')).status).toBe(403)
      expect((await seen()).map(({ to }) => to)).toEqual(['::ffff:93.184.1.1'])
    })

    test('checks each request of a connection', async () => {
      const { path } = await proxied()
      const one = 'GET http://one.example.org/ HTTP/1.1\r\nHost: x\r\n\r\n'
      const socket = connect(path)
      const answers: string[] = []
      socket.on('data', (chunk) => answers.push(String(chunk)))
      socket.write(one)
      await expect.poll(() => answers.join('')).toContain('hello one.example.org')
      socket.write(one.replace('one', 'other'))
      await expect.poll(() => answers.join('')).toContain("other.example.org:80 is not in this agent's network.allow")
      socket.write(one)
      await expect.poll(() => answers.join('').split('hello').length).toBe(3)
      socket.destroy()
      expect(await seen()).toHaveLength(2)
    })

    test('does not resolve a name that is not allowed', async () => {
      const { path, report } = await proxied()
      expect((await get(path, 'http://secret.attacker.test/')).status).toBe(403)
      expect((await report()).asked).toEqual([])
    })

    test('refuses hosts that the operator does not allow, whatever the policy of the agent is', async () => {
      const { path } = await proxied({ operator: ['*.example.org:443'] })
      expect((await get(path, 'http://one.example.org/')).body).toContain(
        'not among the hosts that this server lets agents reach',
      )
      expect((await tunnelTo(path, 'one.example.org:443')).head).toMatch(/^HTTP\/1.1 200 /)
    })
  })

  describe('requests', () => {
    test('hop-by-hop and proxy headers are not passed on', async () => {
      const { path } = await proxied()
      const headers = {
        'Proxy-Authorization': 'Basic secret',
        'Proxy-Connection': 'keep-alive',
        Connection: 'x-mine, content-length, host',
        'X-Mine': 'secret',
        TE: 'trailers',
        Upgrade: 'h2c',
        Host: 'somebody.else',
        Authorization: 'Bearer kept',
        'X-Kept': ['a', 'b'],
        'Content-Length': '0',
      }
      const { answer } = await get(path, 'http://one.example.org/hop?q=1', { method: 'POST', headers })
      const [{ headers: passed = [], url, method } = {}] = await seen()
      expect([method, url]).toEqual(['POST', '/hop?q=1'])
      const pairs = passed.flatMap((name, at) => (at % 2 ? [] : [`${name.toLowerCase()}: ${passed[at + 1]}`]))
      expect(pairs.toSorted()).toEqual([
        'authorization: Bearer kept',
        'connection: close',
        'content-length: 0',
        'host: one.example.org',
        'x-kept: a',
        'x-kept: b',
      ])
      const { 'set-cookie': cookies, 'x-of-this-hop': hop, 'proxy-authenticate': asks } = answer.headers
      expect([cookies, hop, asks]).toEqual([['a=1', 'b=2'], undefined, undefined])
    })

    test.each([
      ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello'],
      ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
      ['a coding after chunked', 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
      ['a coding before chunked', 'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
      ['a space before the colon', 'Content-Length : 5\r\n\r\nhello'],
      ['a folded line', 'X-A: b\r\n Content-Length: 5\r\n\r\nhello'],
      ['a bare line feed', 'X-A: b\nContent-Length: 5\r\n\r\nhello'],
    ])('a request with %s reaches no host', async (_what, rest) => {
      const { path } = await proxied()
      expect(
        await raw(path, `POST http://one.example.org/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${rest}`),
      ).toMatch(/^HTTP\/1.1 400 /)
      expect(await seen()).toEqual([])
    })

    test('a request inside a body is not sent as a second request', async () => {
      const { path } = await proxied()
      const inner = 'GET http://one.example.org/smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
      for (const method of ['POST', 'GET', 'DELETE']) {
        for (const [framing, body] of [
          [`Content-Length: ${inner.length}`, inner],
          ['Transfer-Encoding: chunked', `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`],
        ]) {
          await internet.act('forget')
          const head = `${method} http://one.example.org/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${framing}\r\n\r\n`
          expect(await raw(path, head + body)).toContain('hello one.example.org')
          expect(await seen()).toMatchObject([{ method, url: '/', bytes: inner.length }])
        }
      }
    })

    test.each([
      ['https:// in absolute form', 'GET https://one.example.org/', 'use CONNECT'],
      ['another scheme', 'GET ftp://one.example.org/', 'it accepts CONNECT'],
      ['a path alone', 'GET /', 'it accepts CONNECT'],
      ['a user in the URL', 'GET http://me@one.example.org/', 'no valid host'],
      ['an invalid port', 'GET http://one.example.org:99999/', 'no valid host'],
      ['CONNECT without a port', 'CONNECT one.example.org', 'a host and a port'],
    ])('%s is refused with 400', async (_what, line, says) => {
      const { path } = await proxied()
      const answer = await raw(path, `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      expect(answer).toMatch(/^HTTP\/1.1 400 /)
      expect(answer.split('\r\n\r\n')[1]).toContain(says)
    })

    test('a truncated response is not passed on as a complete one', async () => {
      const { path } = await proxied()
      await expect(get(path, 'http://one.example.org/cut')).rejects.toThrow(/aborted|hang up|ECONNRESET/)
    })
  })

  describe('connections', () => {
    test('a refused connection is 502, and one without an answer 504', async () => {
      const { path } = await proxied({ allow: ['*:80', '*:81', '*:24'] })
      expect((await get(path, 'http://one.example.org:81/')).body).toBe(
        'theazo: cannot connect to one.example.org:81 (ECONNREFUSED)\n',
      )
      expect((await tunnelTo(path, '93.184.1.3:24')).head).toMatch(
        /^HTTP\/1.1 504 theazo: 93.184.1.3:24 did not answer within 1 s/,
      )
      expect((await get(path, 'http://nothing.test/')).body).toBe(
        'theazo: nothing.test cannot be resolved (ENOTFOUND)\n',
      )
    })

    test('connections above the maximum are refused with 503 until others end', async () => {
      const { path, report } = await proxied({ maxConnections: 2 })
      const two = await Promise.all([tunnelTo(path, '93.184.1.1:23'), tunnelTo(path, '93.184.1.1:23')])
      expect(two.map(({ head }) => head.slice(0, 12))).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200'])
      expect((await get(path, 'http://one.example.org/')).status).toBe(503)
      expect((await tunnelTo(path, '93.184.1.1:23')).head).toMatch(/^HTTP\/1.1 503 theazo: too many connections/)
      two[0]?.socket.destroy()
      await expect.poll(async () => (await get(path, 'http://one.example.org/')).status).toBe(200)
      two[1]?.socket.destroy()
      await expect.poll(async () => (await report()).ended.map(({ outcome }) => outcome)).toContain('busy')
    })

    test('a client that closes its sending half still receives the rest', async () => {
      const { path } = await proxied()
      const { socket } = await tunnelTo(path, '93.184.1.1:22')
      socket.end(Buffer.alloc(3_000_000))
      expect(await text(socket)).toBe('3000000 bytes')
    })

    test('a client that disconnects ends its connection, even to a silent host', async () => {
      const { path, report } = await proxied()
      const { socket } = await tunnelTo(path, '93.184.1.1:23')
      socket.end()
      await sleep(500)
      expect((await report()).ended).toEqual([]) // the client can still receive
      socket.destroy()
      const target = { host: '93.184.1.1', port: 23 }
      await expect.poll(async () => (await report()).ended).toMatchObject([{ target, outcome: 'passed' }])
    })

    test('idle connections are ended, on either side', async () => {
      const { path, report } = await proxied({ idleMs: 300 })
      const { socket } = await tunnelTo(path, '93.184.1.1:23')
      const half = await tunnelTo(path, '93.184.1.1:23')
      half.socket.end()
      expect(await Promise.all([text(socket), text(half.socket)])).toEqual(['', ''])
      await expect.poll(async () => (await report()).ended).toHaveLength(2)
      await expect(get(path, 'http://one.example.org/silent')).rejects.toThrow(/hang up|ECONNRESET/)
    })

    test('a client that sends an incomplete request is disconnected', async () => {
      const { path } = await proxied({ headersTimeoutMs: 300 })
      const answer = await raw(path, 'GET http://one.example.org/ HTTP/1.1\r\nHost')
      expect(answer === '' || answer.startsWith('HTTP/1.1 400')).toBe(true)
    }, 10_000)

    test('closing the proxy ends all its connections', async () => {
      const { path, close, report } = await proxied()
      const [one, two] = await Promise.all([tunnelTo(path, '93.184.1.1:23'), tunnelTo(path, '93.184.1.1:23')])
      two.socket.end()
      const cut = get(path, 'http://one.example.org/silent').catch(() => 'cut')
      await expect.poll(async () => (await seen()).length).toBe(1)
      await close()
      expect(await cut).toBe('cut')
      await expect.poll(async () => (await report()).ended).toHaveLength(3)
      await expect(get(path, 'http://one.example.org/')).rejects.toThrow(/ENOENT|ECONNREFUSED/)
      one.socket.destroy()
    })

    test('a slow reader of a response slows the sender, and the proxy buffers little', async () => {
      const { path } = await proxied()
      await get(path, 'http://one.example.org/big?bytes=30000000')
      const before = await internet.act<number>('memory')
      const call = request({ socketPath: path, path: `http://one.example.org/big?bytes=${bytes}` }).end()
      const answer = await new Promise<IncomingMessage>((resolve) => call.on('response', resolve))
      await sleep(1_000)
      expect((await internet.act<number>('memory')) - before).toBeLessThan(60_000_000)
      expect(await lengthOf(answer)).toBe(bytes)
    })

    test('a slow reader of a tunnel slows the sender, and the proxy buffers little', async () => {
      const { path } = await proxied()
      const { socket } = await tunnelTo(path, 'one.example.org:80')
      const before = await internet.act<number>('memory')
      socket.pause()
      socket.write(`GET /big?bytes=${bytes} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      await sleep(1_000)
      expect((await internet.act<number>('memory')) - before).toBeLessThan(60_000_000)
      expect(await lengthOf(socket)).toBeGreaterThan(bytes)
    })

    const bytes = 300_000_000
    async function lengthOf(stream: AsyncIterable<Buffer>): Promise<number> {
      let length = 0
      for await (const chunk of stream) length += chunk.length
      return length
    }

    test('counts bytes in both directions', async () => {
      const { path, report } = await proxied()
      const { socket } = await tunnelTo(path, '93.184.1.1:22')
      socket.end(Buffer.alloc(1_000))
      await text(socket)
      await expect
        .poll(async () => (await report()).ended)
        .toMatchObject([{ outcome: 'passed', bytesUp: 1_000, bytesDown: 10 }])
    })
  })
})
