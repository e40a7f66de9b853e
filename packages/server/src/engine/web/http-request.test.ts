// No test leaves this machine: names come from a table, and each connection to an address that was checked goes to a server
// on loopback. What the guard refuses must not even reach that.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { brotliCompressSync, createGzip, deflateSync, gzipSync } from 'node:zlib'
import type { ToolCallOptions } from '@theazo/core/tools'
import { afterEach, describe, expect, test } from 'vitest'
import { parsePattern, patternsOf } from '../../network/host-pattern.ts'
import { httpRequestTool, type HttpRequestToolOptions } from './http-request.ts'
import type { HttpRequestInput } from './request-input.ts'

/** Names with their addresses, one list for each lookup; the last one stays. */
const names: Record<string, string[][]> = {
  'public.test': [['93.184.1.1']],
  'other.test': [['93.184.1.2']],
  'six.test': [['2606:2800::1']],
  'private.test': [['10.13.13.13']],
  'mixed.test': [['93.184.1.1', '10.13.13.13']],
  'mapped.test': [['::ffff:10.13.13.13']],
  'nat64.test': [['64:ff9b::169.254.169.254']],
  'metadata.google.internal': [['169.254.169.254']],
  localhost: [['127.0.0.1', '::1']],
  'admin.localhost': [['127.0.0.1']],
  'empty.test': [[]],
}

let server: Server | undefined
afterEach(async () => {
  server?.closeAllConnections()
  server?.close()
  server = undefined
})

/** An internet of one server, which answers for every public address. */
async function internet(answer: RequestListener = (_request, response) => response.end('hello')) {
  const requests: (Pick<IncomingMessage, 'method' | 'url' | 'headers'> & { body: string })[] = []
  const own = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { method, url, headers } = request
    requests.push({ method, url, headers, body })
    answer(request, response)
  })
  await once(own.listen(0, '127.0.0.1'), 'listening')
  server = own
  const { port } = own.address() as AddressInfo
  const connected: string[] = []
  /** Resolves when the first bytes of an answer have arrived. */
  const arrived = Promise.withResolvers<void>()
  const asked: string[] = []
  const options: HttpRequestToolOptions = {
    async lookup(name) {
      const count = asked.filter((each) => each === name).length
      asked.push(name)
      const lists = names[name]
      if (!lists) throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' })
      return lists[Math.min(count, lists.length - 1)] ?? []
    },
    async connect(_target, addresses, ended) {
      connected.push(...addresses)
      const socket = connect(port, '127.0.0.1')
      socket.once('data', () => arrived.resolve())
      await once(socket, 'connect', { signal: ended })
      return socket
    },
  }
  const call = async (input: HttpRequestInput | object, more: HttpRequestToolOptions = {}, signal?: AbortSignal) => {
    const tool = httpRequestTool({ ...options, ...more })
    // The tool does not use the sandbox.
    const given = { sandbox: {}, ...(signal && { signal }) } as ToolCallOptions
    return await tool.run(input as HttpRequestInput, given)
  }
  /** The text of the answer, or of the error. */
  const text = async (input: HttpRequestInput | object, more?: HttpRequestToolOptions): Promise<string> => {
    return await call(input, more).then(
      (result) => result.text,
      (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
    )
  }
  return { requests, connected, asked, arrived: arrived.promise, call, text }
}

describe('addresses', () => {
  /** The kind, a public address of that kind, and addresses that must be refused. */
  const kinds: [kind: string, control: string, refused: string[]][] = [
    [
      'dotted IPv4',
      'http://93.184.1.1/',
      [
        'http://127.0.0.1/',
        'http://127.255.255.254/',
        'http://10.0.0.1/',
        'http://172.16.0.1/',
        'http://192.168.1.1/',
        'http://169.254.169.254/latest/meta-data/',
        'http://100.64.0.1/',
        'http://0.0.0.0/',
        'http://255.255.255.255/',
        'http://224.0.0.1/',
      ],
    ],
    ['IPv4 as one decimal number', 'http://1572339969/', ['http://2130706433/', 'http://2852039166/', 'http://0/']],
    [
      'IPv4 in hexadecimal',
      'http://0x5db80101/',
      ['http://0x7f000001/', 'http://0x7f.0x0.0x0.0x1/', 'http://0xa9fea9fe/'],
    ],
    ['IPv4 in octal', 'http://0135.0270.01.01/', ['http://0177.0.0.1/', 'http://017700000001/', 'http://00000177.1/']],
    ['IPv4 with fewer parts', 'http://93.184.257/', ['http://127.1/', 'http://10.1/', 'http://169.254.43518/']],
    ['IPv4 with a final dot', 'http://93.184.1.1./', ['http://127.0.0.1./']],
    ['IPv4 in percent encoding', 'http://%39%33.184.1.1/', ['http://%31%32%37.0.0.1/', 'http://127%2e0%2e0%2e1/']],
    [
      'IPv4 in other digits',
      'http://９３.184.1.1/',
      ['http://１２７.0.0.1/', 'http://①②⑦.⓪.⓪.①/', 'http://127。0。0。1/'],
    ],
    ['IPv4 with characters that URLs drop', 'http://93.1\t84.1.1/', ['http://127.0\t.0.1/', 'ht\ntp://10.0.\r\n0.1/']],
    [
      'IPv6',
      'http://[2606:2800::1]/',
      ['http://[::1]/', 'http://[::]/', 'http://[0:0:0:0:0:0:0:1]/', 'http://[fe80::1]/', 'http://[fd00:ec2::254]/'],
    ],
    [
      'IPv6 around an IPv4 address',
      'http://[64:ff9b::93.184.1.1]/',
      [
        'http://[::ffff:127.0.0.1]/',
        'http://[::ffff:7f00:1]/',
        'http://[::ffff:169.254.169.254]/',
        'http://[::127.0.0.1]/',
        'http://[64:ff9b::127.0.0.1]/',
        'http://[64:ff9b::a9fe:a9fe]/',
        'http://[64:ff9b:1::8.8.8.8]/',
        'http://[2002:7f00:1::]/',
        'http://[2001:0:7f00:1::]/',
      ],
    ],
    [
      'a name',
      'http://public.test/',
      [
        'http://localhost/',
        'http://LOCALHOST./',
        'http://admin.localhost/',
        'http://private.test/',
        'http://mixed.test/',
        'http://mapped.test/',
        'http://nat64.test/',
        'http://metadata.google.internal/computeMetadata/v1/',
      ],
    ],
    [
      'an address after something that looks like one',
      'http://93.184.1.1#@127.0.0.1/',
      [
        'http://127.0.0.1#@public.test/',
        'http://127.0.0.1\\@public.test/',
        'http://127.0.0.1?@public.test/',
        'http:\\\\127.0.0.1/',
      ],
    ],
  ]

  test.each(kinds)('%s reaches public hosts and no others', async (_kind, control, refused) => {
    const { text, connected, requests } = await internet()
    expect(await text({ url: control })).toMatch(/^HTTP 200 from http:[^]*\nhello$/)
    expect([connected.length, requests.length]).toEqual([1, 1])
    for (const url of refused) {
      expect([url, await text({ url })]).toEqual([url, expect.stringMatching(/^forbidden: .* not public\.$/)])
    }
    expect([connected.length, requests.length]).toEqual([1, 1])
  })

  test.each([
    'http://public.test@127.0.0.1/',
    'http://93.184.1.1:80@169.254.169.254/',
    'http://user:secret@public.test/',
    'http://@user@public.test/',
  ])('%s is refused, because no address may have credentials', async (url) => {
    const { text, connected } = await internet()
    const refusal = await text({ url })
    expect(refusal).toContain('url: remove the user name and the password. Send the header Authorization instead.')
    expect(refusal).not.toContain('secret')
    expect(connected).toEqual([])
  })

  test.each([
    'file:///etc/passwd',
    'ftp://public.test/',
    'gopher://public.test/',
    'data:text/plain,hello',
    'ws://public.test/',
  ])('%s has a scheme that is not possible', async (url) => {
    const { text, connected } = await internet()
    expect(await text({ url })).toMatch(/url: "\w+:" is not possible\. Use http:\/\/ or https:\/\/\./)
    expect(connected).toEqual([])
  })

  test.each(['http://[fe80::1%25eth0]/', 'http://256.1.1.1/', 'http://[::1', 'http://', 'public.test', '/path'])(
    '%s is not an address',
    async (url) => {
      const { text, connected } = await internet()
      expect(await text({ url })).toMatch(/url: .* is not an address\. Write it whole: https:\/\/example\.org\/path\./)
      expect(connected).toEqual([])
    },
  )

  test('a name is resolved once, and the checked address is the one that is connected to', async () => {
    names['rebinding.test'] = [['93.184.1.1'], ['169.254.169.254']]
    const { text, connected, asked } = await internet()
    expect(await text({ url: 'http://rebinding.test/' })).toContain('hello')
    expect(asked).toEqual(['rebinding.test'])
    expect(connected).toEqual(['93.184.1.1'])
    expect(await text({ url: 'http://rebinding.test/' })).toBe(
      'forbidden: rebinding.test resolves to an address that is not public.',
    )
    expect(connected).toEqual(['93.184.1.1'])
  })

  test('a name without an address is an error', async () => {
    const { text } = await internet()
    expect(await text({ url: 'http://none.test/' })).toBe('provider_error: none.test cannot be resolved (ENOTFOUND).')
    expect(await text({ url: 'http://empty.test/' })).toBe('provider_error: empty.test cannot be resolved.')
  })
})

describe('the hosts of the agent and of the operator', () => {
  test('are the only ones that are resolved and reached', async () => {
    const { text, asked, connected } = await internet()
    expect(await text({ url: 'http://public.test/' }, { allow: ['*.test'] })).toContain('hello')
    expect(await text({ url: 'http://public.test:8080/' }, { allow: ['public.test:8080'] })).toContain('hello')
    const [before, lookups] = [connected.length, asked.length]
    expect(await text({ url: 'http://other.test/' }, { allow: ['public.test'] })).toBe(
      "forbidden: other.test:80 is not in this agent's network.allow.",
    )
    expect(await text({ url: 'http://public.test:22/' })).toContain('forbidden: public.test:22 is not in')
    expect(await text({ url: 'http://public.test/' }, { allow: [] })).toContain('forbidden: public.test:80 is not in')
    expect(await text({ url: 'http://other.test/' }, { operator: patternsOf(['public.test']) })).toBe(
      'forbidden: other.test:80 is not among the hosts that this server lets agents reach.',
    )
    expect([connected.length, asked.length]).toEqual([before, lookups])
  })

  test('cannot be private ones', () => {
    expect(parsePattern('10.0.0.1')).toContain('must be public')
  })
})

describe('redirects', () => {
  const to = (location: string, status = 302): RequestListener => {
    return (request, response) => {
      if (request.url === '/end') response.end(`${request.method} arrived`)
      else response.writeHead(status, { location }).end()
    }
  }

  test.each(['/end', 'http://other.test/end', '//other.test/end', 'http://0x5db80101/end'])(
    'to %s is followed',
    async (location) => {
      const { text, requests } = await internet(to(location))
      expect(await text({ url: 'http://public.test/' })).toContain('GET arrived')
      expect(requests).toHaveLength(2)
    },
  )

  test.each([
    ['http://127.0.0.1/end', 'forbidden: .*127.0.0.1 is an address that is not public'],
    ['//169.254.169.254/end', 'forbidden: .*169.254.169.254 is an address that is not public'],
    ['http://2130706433/end', 'forbidden: .*127.0.0.1 is an address that is not public'],
    ['http://[::ffff:127.0.0.1]/end', 'forbidden: .* is an address that is not public'],
    ['http://private.test/end', 'forbidden: .*private.test resolves to an address that is not public'],
    ['http://public.test:6379/end', "forbidden: .*public.test:6379 is not in this agent's network.allow"],
    ['http://public.test@127.0.0.1/end', 'forbidden: .*redirects to an address that is not possible'],
    ['file:///etc/passwd', 'forbidden: .*redirects to an address that is not possible'],
  ])('to %s is refused', async (location, refusal) => {
    const { text, requests } = await internet(to(location))
    expect(await text({ url: 'http://public.test/' })).toMatch(new RegExp(refusal))
    expect(requests).toHaveLength(1)
  })

  test('to the same name is refused if its address is now private', async () => {
    names['turning.test'] = [['93.184.1.1'], ['127.0.0.1']]
    const { text, requests } = await internet(to('/end'))
    expect(await text({ url: 'http://turning.test/' })).toBe(
      'forbidden: after a redirect to http://turning.test/end: turning.test resolves to an address that is not public.',
    )
    expect(requests).toHaveLength(1)
  })

  test('close the connection of an answer whose body never ends', async () => {
    const closed = Promise.withResolvers<void>()
    const { text } = await internet((request, response) => {
      if (request.url === '/end') return response.end('arrived')
      response.on('close', () => closed.resolve())
      return response.writeHead(302, { location: '/end' }).write('more to come')
    })
    expect(await text({ url: 'http://public.test/' })).toContain('arrived')
    await closed.promise
  })

  test('are at most five', async () => {
    const counting: RequestListener = (request, response) => {
      const left = Number(request.url?.slice(1))
      if (left === 0) response.end('arrived')
      else response.writeHead(301, { location: `/${left - 1}` }).end()
    }
    const { text, requests } = await internet(counting)
    expect(await text({ url: 'http://public.test/5' })).toContain('arrived')
    expect(requests).toHaveLength(6)
    expect(await text({ url: 'http://public.test/6' })).toBe(
      'provider_error: more than 5 redirects; the last one leads to http://public.test/0.',
    )
    expect(requests).toHaveLength(12)
  })

  test('take no credentials to another origin', async () => {
    const headers = 'Authorization: Bearer s\nCookie: a=b\nX-Api-Key: s\nX-Other: kept'
    const secrets = async (location: string) => {
      const { text, requests } = await internet(to(location))
      await text({ url: 'http://public.test/', headers })
      return Object.keys(requests.at(-1)?.headers ?? {}).filter((name) => /^(authorization|cookie|x-.*)$/.test(name))
    }
    expect(await secrets('/end')).toEqual(['authorization', 'cookie', 'x-api-key', 'x-other'])
    expect(await secrets('http://other.test/end')).toEqual(['x-other'])
  })

  test.each([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'PUT', 'GET', ''],
    [303, 'HEAD', 'HEAD', ''],
    [302, 'PUT', 'PUT', 'data'],
    [307, 'POST', 'POST', 'data'],
    [308, 'PATCH', 'PATCH', 'data'],
  ])('with status %i make a %s request a %s request', async (status, method, next, body) => {
    const { text, requests } = await internet(to('/end', status))
    await text({ url: 'http://public.test/', method, ...(method !== 'HEAD' && { body: 'data' }) })
    expect(requests.at(-1)).toMatchObject({ method: next, url: '/end', body })
    expect(requests.at(-1)?.headers['content-type']).toBe(body === '' ? undefined : 'text/plain; charset=utf-8')
  })
})

describe('a request', () => {
  test('has the method, the headers and the body of the call', async () => {
    const { requests, call } = await internet()
    const input = {
      url: 'http://public.test/a?b=c#d',
      method: 'post',
      headers: 'X-One: 1\r\nAccept: text/html',
      body: '{"a":1}',
    }
    const result = await call(input)
    expect(requests).toMatchObject([
      {
        method: 'POST',
        url: '/a?b=c',
        body: '{"a":1}',
        headers: { host: 'public.test', 'x-one': '1', accept: 'text/html', 'content-type': 'application/json' },
      },
    ])
    expect(result).toMatchObject({
      isError: false,
      data: { url: 'http://public.test/a?b=c', status: 200, body: 'hello' },
    })
  })

  test('accepts headers and a body as objects, as models often send them', async () => {
    const { requests, call } = await internet()
    await call({ url: 'http://public.test/', method: 'PUT', headers: { 'X-One': 1 }, body: { a: [2] } })
    expect(requests).toMatchObject([{ headers: { 'x-one': '1' }, body: '{"a":[2]}' }])
  })

  test.each<[object, string]>([
    [{}, 'url is missing'],
    [{ url: 'http://public.test/', method: 'TRACE' }, "method must be 'GET' or 'POST'"],
    [{ url: 'http://public.test/', body: 'x' }, 'body: a GET request has no body. Leave it out, or use POST.'],
    [
      { url: 'http://public.test/', headers: 'Host: 127.0.0.1' },
      'headers: remove "host". The request gets it by itself.',
    ],
    [{ url: 'http://public.test/', headers: 'Transfer-Encoding: chunked' }, 'headers: remove "transfer-encoding"'],
    [{ url: 'http://public.test/', headers: 'no header' }, 'headers: "no header" is not a header. Write Name: value'],
    [
      { url: 'http://public.test/', headers: 'X: a\u0000secret' },
      'headers: "x" has a character that HTTP does not allow',
    ],
    [{ url: 'http://public.test/', headers: 'X: a\n'.repeat(51) }, 'headers: 51 are too many. Send at most 50.'],
    [
      { url: 'http://public.test/', headers: 'X: a'.repeat(5000) },
      'headers must be text of at least 1 and at most 16000 characters',
    ],
    [{ url: `http://public.test/${'a'.repeat(9000)}` }, 'url must be text of at least 1 and at most 8192 characters'],
  ])('with a wrong field is not sent; the error names the field and the fix: %#', async (input, says) => {
    const { call, connected } = await internet()
    const result = await call(input)
    expect(result.isError).toBe(true)
    expect(result.text).toContain(says)
    expect(result.text).not.toContain('secret')
    expect(connected).toEqual([])
  })
})

describe('an answer', () => {
  const mebibyte = 1024 * 1024
  const dataOf = async (answer: RequestListener, more: HttpRequestToolOptions = {}, input: object = {}) => {
    const { call } = await internet(answer)
    const result = await call({ url: 'http://public.test/', ...input }, more)
    if (result.isError) throw result.error
    return { ...result.data, shown: result.text }
  }
  const sends =
    (body: string | Buffer, headers: Record<string, string> = {}, status = 200): RequestListener =>
    (_request, response) =>
      response.writeHead(status, headers).end(body)

  test.each([
    ['gzip', gzipSync('compressed')],
    ['x-gzip', gzipSync('compressed')],
    ['deflate', deflateSync('compressed')],
    ['br', brotliCompressSync('compressed')],
  ])('in %s is decompressed', async (coding, body) => {
    expect(await dataOf(sends(body, { 'content-encoding': coding }))).toMatchObject({ body: 'compressed' })
  })

  test('of an error status is a normal result', async () => {
    const { status, shown } = await dataOf(sends('{"error":"no"}', { 'content-type': 'application/json' }, 404))
    expect(status).toBe(404)
    expect(shown).toMatch(
      /^HTTP 404 from http:\/\/public\.test\/\n[^]*content-type: application\/json\n[^]*\n\n\{"error":"no"\}$/,
    )
  })

  test('of a megabyte is whole; a longer one is cut, and the note says so', async () => {
    expect(await dataOf(sends('a'.repeat(mebibyte)))).toMatchObject({ body: 'a'.repeat(mebibyte), note: undefined })
    const { body, note, shown } = await dataOf(sends('€'.repeat(mebibyte)))
    expect(body).toBe('€'.repeat(Math.floor(mebibyte / 3)))
    expect(note).toBe('the body is cut after 1048576 bytes')
    expect(shown).toContain(`[${note}]`)
    expect(shown.length).toBeLessThanOrEqual(100_000)
  })

  test('that never ends is read up to the limit, and its connection is closed', async () => {
    const closed = Promise.withResolvers<void>()
    const endless: RequestListener = (_request, response) => {
      response.on('close', () => closed.resolve())
      const chunk = Buffer.alloc(65_536, 'a')
      const more = (): void => {
        while (!response.destroyed && response.write(chunk)) continue
      }
      response.on('drain', more)
      more()
    }
    expect(await dataOf(endless)).toMatchObject({
      body: 'a'.repeat(mebibyte),
      note: 'the body is cut after 1048576 bytes',
    })
    await closed.promise
  })

  test('that grows without bounds when it is decompressed is cut', async () => {
    const bomb: RequestListener = (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      const zip = createGzip()
      zip.pipe(response)
      const zeros = Buffer.alloc(mebibyte, 'a')
      const more = (): void => {
        while (!response.destroyed && zip.write(zeros)) continue
      }
      response.on('close', () => zip.destroy())
      zip.on('drain', more)
      more()
    }
    expect((await dataOf(bomb)).body).toBe('a'.repeat(mebibyte))
  })

  test('whose compressed form never yields anything is cut', async () => {
    const emptyBlock = Buffer.from([0, 0, 0, 0xff, 0xff])
    const empty: RequestListener = (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.write(gzipSync('').subarray(0, 10))
      const blocks = Buffer.concat(Array.from({ length: 10_000 }, () => emptyBlock))
      const more = (): void => {
        while (!response.destroyed && response.write(blocks)) continue
      }
      response.on('drain', more)
      more()
    }
    expect(await dataOf(empty)).toMatchObject({ body: '', note: 'the body is cut after 1048576 bytes' })
  })

  test.each([
    ['gzip', 'the body is not valid gzip'],
    ['br', 'the body is not valid br'],
    ['compress', 'the body has a content coding that was not accepted: compress'],
  ])('with a wrong content coding %s is an error', async (coding, says) => {
    const { text } = await internet(sends('not compressed', { 'content-encoding': coding }))
    expect(await text({ url: 'http://public.test/' })).toBe(`provider_error: ${says}.`)
  })

  test.each<[string, string, Buffer, object]>([
    [
      'an image',
      'image/png',
      Buffer.from('89504e470d0a1a0a', 'hex'),
      { note: 'the body is binary and not shown: image/png, 8 bytes' },
    ],
    [
      'bytes without a type',
      '',
      Buffer.from([1, 0, 2]),
      { note: 'the body is binary and not shown: content of an unknown type, 3 bytes' },
    ],
    ['text that calls itself text but is not', 'text/plain', Buffer.from([0xff, 0xfe, 0xff]), { body: undefined }],
    ['text without a type', '', Buffer.from('grüße'), { body: 'grüße' }],
    ['text of another charset', 'text/plain; charset=iso-8859-1', Buffer.from('grüße', 'latin1'), { body: 'grüße' }],
    ['UTF-16', 'text/plain; charset="utf-16le"', Buffer.from('grüße', 'utf16le'), { body: 'grüße' }],
    ['text of an unknown charset', 'text/plain; charset=none', Buffer.from('grüße'), { body: 'grüße' }],
  ])('with %s', async (_what, type, body, expected) => {
    const headers = { ...(type !== '' && { 'content-type': type }), 'content-length': String(body.length) }
    expect(await dataOf(sends(body, headers))).toMatchObject(expected)
  })

  test('to HEAD has no body', async () => {
    const { body, status } = await dataOf(sends('', { 'content-length': '5' }), {}, { method: 'HEAD' })
    expect([status, body]).toEqual([200, undefined])
  })

  test('with many headers is cut to a part of them; with too many it is an error', async () => {
    const many = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`x-${index}`, 'v'.repeat(100)]))
    const { headers } = await dataOf(sends('', many))
    expect(headers.length).toBeLessThan(8100)
    expect(headers).toMatch(/\[further headers cut\]$/)
    const { text } = await internet(sends('', { ...many, big: 'v'.repeat(8000) }))
    expect(await text({ url: 'http://public.test/' })).toBe(
      'provider_error: public.test sent headers of more than 16 KiB.',
    )
  })

  test('that is not HTTP is an error', async () => {
    const { text } = await internet((request) => request.socket.end('SSH-2.0-OpenSSH\r\n'))
    expect(await text({ url: 'http://public.test/' })).toBe(
      'provider_error: public.test sent something that is not an HTTP answer.',
    )
  })

  test('that does not come is an error', async () => {
    const { text } = await internet((request) => request.socket.destroy())
    expect(await text({ url: 'http://public.test/' })).toBe(
      'provider_error: public.test ended the connection without an answer.',
    )
  })
})

describe('time', () => {
  test('ends a request without an answer', async () => {
    const { text } = await internet(() => {})
    expect(await text({ url: 'http://public.test/' }, { timeoutMs: 200 })).toBe('timeout: no answer came within 0.2 s.')
  })

  test('ends a lookup without an answer', async () => {
    const { text } = await internet()
    const lookup = async () => await new Promise<string[]>(() => {})
    expect(await text({ url: 'http://public.test/' }, { lookup, timeoutMs: 200 })).toContain('timeout: ')
  })

  test('cuts an answer whose end does not come', async () => {
    const { call } = await internet((_request, response) => void response.write('event: 1\n\n'))
    const result = await call({ url: 'http://public.test/' }, { timeoutMs: 500 })
    expect(result).toMatchObject({
      data: { body: 'event: 1\n\n', note: 'the body is cut: its end did not come in time' },
    })
  })

  test.each([
    ['before the headers', false],
    ['inside of the body', true],
  ])('an abort %s closes the connection and rejects with its reason', async (_where, isBody) => {
    const [begun, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const { call, arrived } = await internet((_request, response) => {
      response.on('close', () => closed.resolve())
      if (isBody) response.write('begun')
      begun.resolve()
    })
    const stop = new AbortController()
    const pending = call({ url: 'http://public.test/' }, {}, stop.signal)
    await (isBody ? arrived : begun.promise)
    await new Promise((resolve) => setImmediate(resolve)) // the headers that have arrived are read by now
    stop.abort(new Error('enough'))
    await expect(pending).rejects.toThrow('enough')
    await closed.promise
  })

  test('an aborted call sends nothing', async () => {
    const { call, asked } = await internet()
    await expect(call({ url: 'http://public.test/' }, {}, AbortSignal.abort(new Error('enough')))).rejects.toThrow(
      'enough',
    )
    expect(asked).toEqual([])
  })
})
