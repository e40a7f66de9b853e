/**
 * One action of a peer: a string is sent, one byte per character; a number is a pause in ms; `loop` is sent until the
 * end.
 */
export type Step = string | number | { loop: string; everyMs: number }

/** A response that breaks HTTP, sent by an allowed host through the proxy. */
export interface InvalidResponse {
  name: string
  steps: Step[]
  /** Bytes that the client must receive, one character per byte; empty if the proxy closes the connection. */
  expected: RegExp
  /** Extra headers of the client's request. */
  headers?: string
}

const ok = 'HTTP/1.1 200 OK\r\n'
const refused = /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*\r\n\r\ntheazo: one\.example\.org /
/** The proxy passes the response on, with its own reason phrase. */
const passed = /^HTTP\/1\.1 200 OK\r\n[^]*hello/
/** The response has started and is incomplete: the client must be able to see that. */
const cut = /^HTTP\/1\.1 200 OK\r\n(?![^]*\r\n0\r\n\r\n$)/
const refusedLate = /^HTTP\/1\.1 504 Gateway Timeout\r\n/

const statusLines: InvalidResponse[] = [
  row('a control character in the reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('a tab and bytes over 0x7f in the reason', 'HTTP/1.1 200 \t\x80\xffK\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('NUL in the reason', 'HTTP/1.1 200 O\x00K\r\nContent-Length: 5\r\n\r\nhello', /^HTTP\/1\.1 (200 OK|502 )/),
  row('DEL in the reason', 'HTTP/1.1 200 O\x7fK\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('no reason', 'HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('a reason of 15,000 bytes', `HTTP/1.1 200 ${'O'.repeat(15_000)}\r\nContent-Length: 5\r\n\r\nhello`, passed),
  row('a reason of 200,000 bytes', `HTTP/1.1 200 ${'O'.repeat(200_000)}`, refused),
  row('the status 0', 'HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello', refused),
  row('the status 42', 'HTTP/1.1 042 OK\r\nContent-Length: 5\r\n\r\nhello', refused),
  row('the status 999', 'HTTP/1.1 999 OK\r\nContent-Length: 5\r\n\r\nhello', /^HTTP\/1\.1 999 [^]*hello/),
  row('a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n', refused),
  row('a status of letters', 'HTTP/1.1 abc OK\r\n\r\n', refused),
  row('HTTP/9.9', 'HTTP/9.9 200 OK\r\nContent-Length: 5\r\n\r\nhello', refused),
  row('a response without headers (HTTP/0.9)', '<html>hello</html>', refused),
  row('random bytes', '\x16\x03\x01\x02\x00\x01\x00\xfc\xfe\xff\x00\x00\n\r\n', refused),
  row('a request', 'GET / HTTP/1.1\r\nHost: one\r\n\r\n', refused),
]

const interim: InvalidResponse[] = [
  row('100 and then 200', `HTTP/1.1 100 Continue\r\n\r\n${ok}Content-Length: 5\r\n\r\nhello`, passed),
  row(
    '102 with a control character in the reason',
    `HTTP/1.1 102 \x01\r\n\r\n${ok}Content-Length: 5\r\n\r\nhello`,
    passed,
  ),
  row('103 with headers', `HTTP/1.1 103 E\r\nLink: <x>\x80\r\n\r\n${ok}Content-Length: 5\r\n\r\nhello`, passed),
  row('199 and no final response', 'HTTP/1.1 199 X\r\n\r\n', refused),
  row('endless 100 responses', { loop: 'HTTP/1.1 100 Continue\r\n\r\n', everyMs: 1 }, refused),
  row('101 without an upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', refused),
  row(
    '101 with an upgrade that the client did not request',
    'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello',
    refused,
  ),
  {
    ...row(
      '101 with an upgrade that the client requested',
      'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello',
      refused,
    ),
    headers: 'Connection: Upgrade, close\r\nUpgrade: websocket\r\n',
  },
]

const headers: InvalidResponse[] = [
  row('NUL in a value', `${ok}X-A: a\x00b\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row('a control character in a value', `${ok}X-A: a\x01b\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row('a bare CR in a value', `${ok}X-A: a\rb\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row(
    'a bare LF after a value',
    `${ok}X-A: a\nContent-Length: 5\r\n\r\nhello`,
    /^HTTP\/1\.1 (502 |200 OK\r\n[^]*hello)/,
  ),
  row(
    'a value folded over two lines',
    `${ok}X-A: a\r\n b\r\nContent-Length: 5\r\n\r\nhello`,
    /^HTTP\/1\.1 (502 |200 OK\r\n[^]*hello)/,
  ),
  row(
    'bytes over 0x7f in a value',
    `${ok}X-A: \x80\xff\r\nContent-Length: 5\r\n\r\nhello`,
    /^HTTP\/1\.1 200 OK\r\nX-A: \x80\xff\r\n/i,
  ),
  row('bytes over 0x7f in a name', `${ok}X-\xe9: a\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row('a name with a space', `${ok}X A: a\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row('a name that is empty', `${ok}: a\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row('no colon', `${ok}nothing\r\n\r\nhello`, refused),
  row('the name __proto__', `${ok}__proto__: a\r\nconstructor: b\r\nContent-Length: 5\r\n\r\nhello`, passed),
  row('4,000 headers', `${ok}${'a:\r\n'.repeat(3_900)}Content-Length: 5\r\n\r\nhello`, passed),
  row('headers of 200,000 bytes', `${ok}${`X-A: ${'a'.repeat(1_000)}\r\n`.repeat(200)}\r\n`, refused),
  row('one header of 1,000,000 bytes', `${ok}X-A: ${'a'.repeat(1_000_000)}`, refused),
  row(
    'thousands of hop-by-hop header names',
    `${ok}Connection: ${'x,'.repeat(5_000)}close\r\nContent-Length: 5\r\n\r\nhello`,
    passed,
  ),
]

const lengths: InvalidResponse[] = [
  row('two lengths', `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, refused),
  row(
    'the same length twice',
    `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
    /^HTTP\/1\.1 (502 |200 OK\r\n[^]*hello)/,
  ),
  row('a list of lengths', `${ok}Content-Length: 5, 5\r\n\r\nhello`, refused),
  row('a negative length', `${ok}Content-Length: -1\r\n\r\nhello`, refused),
  row('a length of 2^80', `${ok}Content-Length: 1208925819614629174706176\r\n\r\nhello`, refused),
  row('a length in hex', `${ok}Content-Length: 0x5\r\n\r\nhello`, refused),
  row('a length and chunks', `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, refused),
  row('a coding before chunked', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, refused),
  row('chunked twice', `${ok}Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, refused),
  row('an unknown coding', `${ok}Transfer-Encoding: \x80\r\n\r\nhello`, refused),
  row(
    'a chunk with an invalid size',
    `${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n`,
    /^(HTTP\/1\.1 (200|502) |$)/,
  ),
  row(
    'a chunk of 2^80 bytes',
    `${ok}Transfer-Encoding: chunked\r\n\r\n100000000000000000000\r\nhello`,
    /^(HTTP\/1\.1 (200|502) |$)/,
  ),
  row('a body longer than its length', `${ok}Content-Length: 5\r\n\r\nhello${'x'.repeat(100_000)}`, passed),
  row(
    'two responses',
    `${ok}Content-Length: 5\r\n\r\nhello${ok}Content-Length: 5\r\n\r\nworld`,
    /^(?![^]*world)HTTP\/1\.1 200 OK\r\n/,
  ),
  row(
    '204 with a body',
    'HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello',
    /^HTTP\/1\.1 204 No Content\r\n(?![^]*length)/i,
  ),
  row('304 with a body', 'HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello', /^HTTP\/1\.1 304 Not Modified\r\n/),
]

const ends: InvalidResponse[] = [
  { name: 'nothing, and a close', steps: ['END'], expected: refused },
  { name: 'nothing, and a reset', steps: ['RESET'], expected: refused },
  { name: 'half a status line, and a close', steps: ['HTTP/1.1 20', 20, 'END'], expected: refused },
  { name: 'half a status line, and a reset', steps: ['HTTP/1.1 20', 20, 'RESET'], expected: refused },
  { name: 'half of its headers, and a close', steps: [`${ok}X-A: b`, 20, 'END'], expected: refused },
  { name: 'half of its headers, and a reset', steps: [`${ok}X-A: b`, 20, 'RESET'], expected: refused },
  { name: 'half of its body, and a close', steps: [`${ok}Content-Length: 9\r\n\r\nhell`, 50, 'END'], expected: cut },
  { name: 'half of its body, and a reset', steps: [`${ok}Content-Length: 9\r\n\r\nhell`, 50, 'RESET'], expected: cut },
  {
    name: 'half a chunk, and a close',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n9\r\nhell`, 50, 'END'],
    expected: cut,
  },
  {
    name: 'half a chunk, and a reset',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n9\r\nhell`, 50, 'RESET'],
    expected: cut,
  },
  {
    name: 'half of its trailers, and a close',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: `, 50, 'END'],
    expected: cut,
  },
  {
    name: 'half of its trailers, and a reset',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: `, 50, 'RESET'],
    expected: cut,
  },
  {
    name: 'trailers with an invalid byte',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: a\x00b\r\n\r\n`],
    expected: /^(HTTP\/1\.1 (200|502) |$)/,
  },
  {
    name: 'trailers of 200,000 bytes',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: ${'a'.repeat(200_000)}\r\n\r\n`],
    expected: /^(HTTP\/1\.1 (200|502) |$)/,
  },
  { name: 'a status line, one byte a second', steps: [{ loop: 'H', everyMs: 1_000 }], expected: refused },
  { name: 'endless headers', steps: [ok, { loop: 'X-A: b\r\n', everyMs: 100 }], expected: refusedLate },
  { name: 'half of its headers, and silence', steps: [`${ok}X-A`, 40_000], expected: refusedLate },
]

export const invalidResponses: readonly InvalidResponse[] = [
  ...statusLines,
  ...interim,
  ...headers,
  ...lengths,
  ...ends,
]

function row(name: string, step: Step, expected: RegExp): InvalidResponse {
  return { name, steps: [step, 'END'], expected }
}
