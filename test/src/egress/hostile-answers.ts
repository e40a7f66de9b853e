/** What a host sends: a string as it is, one byte a character; a number of ms is waited for; `loop` is sent for ever. */
export type Step = string | number | { loop: string; everyMs: number }

/** An answer that no honest host sends. */
export interface HostileAnswer {
  name: string
  steps: Step[]
  /** What the client gets, one byte a character; nothing if its connection is closed. */
  gives: RegExp
  /** Of the request of the client. */
  headers?: string
}

const ok = 'HTTP/1.1 200 OK\r\n'
const refused = /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*\r\n\r\ntheazo: one\.example\.org /
/** Passed on, with a reason phrase of ours. */
const passed = /^HTTP\/1\.1 200 OK\r\n[^]*hello/
/** Begun and not ended: the client must see that it is not whole. */
const cut = /^HTTP\/1\.1 200 OK\r\n(?![^]*\r\n0\r\n\r\n$)/
const refusedLate = /^HTTP\/1\.1 504 Gateway Timeout\r\n/

const statusLines: HostileAnswer[] = [
  row('a control character in the reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('a tab and bytes over 0x7f in the reason', 'HTTP/1.1 200 \t\x80\xffK\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('NUL in the reason', 'HTTP/1.1 200 O\x00K\r\nContent-Length: 5\r\n\r\nhello', /^HTTP\/1\.1 (200 OK|502 )/),
  row('DEL in the reason', 'HTTP/1.1 200 O\x7fK\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('no reason', 'HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello', passed),
  row('a reason of 15,000 bytes', `HTTP/1.1 200 ${'O'.repeat(15_000)}\r\nContent-Length: 5\r\n\r\nhello`, passed),
  row('an endless reason', `HTTP/1.1 200 ${'O'.repeat(200_000)}`, refused),
  row('the status 0', 'HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello', refused),
  row('the status 42', 'HTTP/1.1 042 OK\r\nContent-Length: 5\r\n\r\nhello', refused),
  row('the status 999', 'HTTP/1.1 999 OK\r\nContent-Length: 5\r\n\r\nhello', /^HTTP\/1\.1 999 [^]*hello/),
  row('a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n', refused),
  row('a status of letters', 'HTTP/1.1 abc OK\r\n\r\n', refused),
  row('HTTP/9.9', 'HTTP/9.9 200 OK\r\nContent-Length: 5\r\n\r\nhello', refused),
  row('an answer without headers (HTTP/0.9)', '<html>hello</html>', refused),
  row('random bytes', '\x16\x03\x01\x02\x00\x01\x00\xfc\xfe\xff\x00\x00\n\r\n', refused),
  row('a request', 'GET / HTTP/1.1\r\nHost: one\r\n\r\n', refused),
]

const interim: HostileAnswer[] = [
  row('100 and then 200', `HTTP/1.1 100 Continue\r\n\r\n${ok}Content-Length: 5\r\n\r\nhello`, passed),
  row('102 with a bad reason', `HTTP/1.1 102 \x01\r\n\r\n${ok}Content-Length: 5\r\n\r\nhello`, passed),
  row('103 with headers', `HTTP/1.1 103 E\r\nLink: <x>\x80\r\n\r\n${ok}Content-Length: 5\r\n\r\nhello`, passed),
  row('199 alone', 'HTTP/1.1 199 X\r\n\r\n', refused),
  row('100 without end', { loop: 'HTTP/1.1 100 Continue\r\n\r\n', everyMs: 1 }, refused),
  row('101 without an upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', refused),
  row('101 with one', 'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello', refused),
  {
    ...row(
      '101 to a request for it',
      'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello',
      refused,
    ),
    headers: 'Connection: Upgrade, close\r\nUpgrade: websocket\r\n',
  },
]

const headers: HostileAnswer[] = [
  row('NUL in a value', `${ok}X-A: a\x00b\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row('a control character in a value', `${ok}X-A: a\x01b\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row('a bare CR in a value', `${ok}X-A: a\rb\r\nContent-Length: 5\r\n\r\nhello`, refused),
  row(
    'a bare LF after a value',
    `${ok}X-A: a\nContent-Length: 5\r\n\r\nhello`,
    /^HTTP\/1\.1 (502 |200 OK\r\n[^]*hello)/,
  ),
  row(
    'a value in two lines',
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
    'headers of this hop by the hundred',
    `${ok}Connection: ${'x,'.repeat(5_000)}close\r\nContent-Length: 5\r\n\r\nhello`,
    passed,
  ),
]

const lengths: HostileAnswer[] = [
  row('two lengths', `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, refused),
  row(
    'one length twice',
    `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
    /^HTTP\/1\.1 (502 |200 OK\r\n[^]*hello)/,
  ),
  row('a list of lengths', `${ok}Content-Length: 5, 5\r\n\r\nhello`, refused),
  row('a negative length', `${ok}Content-Length: -1\r\n\r\nhello`, refused),
  row('a length of 2^80', `${ok}Content-Length: 1208925819614629174706176\r\n\r\nhello`, refused),
  row('a length in hex', `${ok}Content-Length: 0x5\r\n\r\nhello`, refused),
  row('a length and chunks', `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, refused),
  row('a coding before the chunks', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, refused),
  row('chunks twice', `${ok}Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, refused),
  row('an unknown coding', `${ok}Transfer-Encoding: \x80\r\n\r\nhello`, refused),
  row(
    'a chunk of a size that is none',
    `${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n`,
    /^(HTTP\/1\.1 (200|502) |$)/,
  ),
  row(
    'a chunk of 2^80 bytes',
    `${ok}Transfer-Encoding: chunked\r\n\r\n100000000000000000000\r\nhello`,
    /^(HTTP\/1\.1 (200|502) |$)/,
  ),
  row('more than its length', `${ok}Content-Length: 5\r\n\r\nhello${'x'.repeat(100_000)}`, passed),
  row(
    'two answers',
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

const ends: HostileAnswer[] = [
  { name: 'nothing, and a close', steps: ['END'], gives: refused },
  { name: 'nothing, and a reset', steps: ['RESET'], gives: refused },
  { name: 'half a status line, and a close', steps: ['HTTP/1.1 20', 20, 'END'], gives: refused },
  { name: 'half a status line, and a reset', steps: ['HTTP/1.1 20', 20, 'RESET'], gives: refused },
  { name: 'half of its headers, and a close', steps: [`${ok}X-A: b`, 20, 'END'], gives: refused },
  { name: 'half of its headers, and a reset', steps: [`${ok}X-A: b`, 20, 'RESET'], gives: refused },
  { name: 'half of its body, and a close', steps: [`${ok}Content-Length: 9\r\n\r\nhell`, 50, 'END'], gives: cut },
  { name: 'half of its body, and a reset', steps: [`${ok}Content-Length: 9\r\n\r\nhell`, 50, 'RESET'], gives: cut },
  {
    name: 'half a chunk, and a close',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n9\r\nhell`, 50, 'END'],
    gives: cut,
  },
  {
    name: 'half a chunk, and a reset',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n9\r\nhell`, 50, 'RESET'],
    gives: cut,
  },
  {
    name: 'half of its trailers, and a close',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: `, 50, 'END'],
    gives: cut,
  },
  {
    name: 'half of its trailers, and a reset',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: `, 50, 'RESET'],
    gives: cut,
  },
  {
    name: 'trailers that HTTP cannot carry',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: a\x00b\r\n\r\n`],
    gives: /^(HTTP\/1\.1 (200|502) |$)/,
  },
  {
    name: 'trailers of 200,000 bytes',
    steps: [`${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: ${'a'.repeat(200_000)}\r\n\r\n`],
    gives: /^(HTTP\/1\.1 (200|502) |$)/,
  },
  { name: 'a status line, one byte a second', steps: [{ loop: 'H', everyMs: 1_000 }], gives: refused },
  { name: 'headers without end', steps: [ok, { loop: 'X-A: b\r\n', everyMs: 100 }], gives: refusedLate },
  { name: 'half of its headers, and silence', steps: [`${ok}X-A`, 40_000], gives: refusedLate },
]

/** All of them. */
export const hostileAnswers: readonly HostileAnswer[] = [...statusLines, ...interim, ...headers, ...lengths, ...ends]

function row(name: string, step: Step, gives: RegExp): HostileAnswer {
  return { name, steps: [step, 'END'], gives }
}
