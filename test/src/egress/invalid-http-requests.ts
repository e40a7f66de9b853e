import type { Step } from './invalid-http-responses.ts'

/** A request that breaks HTTP or the rules of a proxy, sent by code in the sandbox. */
export interface InvalidRequest {
  name: string
  steps: Step[]
  /** Bytes that the client must receive, one character per byte; empty if the proxy closes the connection. */
  expected: RegExp
}

const url = 'http://one.example.org/'
const get = `GET ${url} HTTP/1.1\r\nHost: x\r\n`
const post = `POST ${url} HTTP/1.1\r\nHost: x\r\n`
const refused = /^HTTP\/1\.1 403 /
const close = 'Connection: close\r\n\r\n'
const invalid = /^HTTP\/1\.1 400 /
const invalidOrClosed = /^(HTTP\/1\.1 400 |$)/
const passed = /^HTTP\/1\.1 200 OK\r\n[^]*hello one\.example\.org/
const passedOnce = /^(?![^]*hello[^]*hello)HTTP\/1\.1 200 OK\r\n[^]*hello one\.example\.org/

const lines: InvalidRequest[] = [
  row('random bytes', '\x16\x03\x01\x02\x00\x01\x00\xfc\xfe\xff\x00\x00\n\r\n', invalid),
  row('NULs', '\0'.repeat(10_000), invalid),
  row('a response', 'HTTP/1.1 200 OK\r\n\r\n', invalid),
  row('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', invalidOrClosed),
  row('a request of HTTP/2', `GET ${url} HTTP/2.0\r\nHost: x\r\n${close}`, invalid),
  row('a request of HTTP/9.9', `GET ${url} HTTP/9.9\r\nHost: x\r\n${close}`, invalid),
  row('a request of HTTP/0.9', `GET ${url}\r\n\r\n`, invalid),
  row('an unknown method', `WHAT ${url} HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('a method in lower case', `get ${url} HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('a method with a control character', `G\x01T ${url} HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('a rare method', `M-SEARCH ${url} HTTP/1.1\r\nHost: x\r\n${close}`, passed),
  row('SOURCE, which is not an HTTP method', `SOURCE ${url} HTTP/1.1\r\nHost: x\r\n${close}`, passed),
  row('a URL of 100,000 characters', `GET ${url}${'a'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('NUL in the URL', `GET ${url}a\x00b HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('bytes over 0x7f in the path', `GET ${url}\x80\xff HTTP/1.1\r\nHost: x\r\n${close}`, /^HTTP\/1\.1 (200|400) /),
  row(
    'bytes over 0x7f in the host',
    `GET http://one\xff.example.org/ HTTP/1.1\r\nHost: x\r\n${close}`,
    /^HTTP\/1\.1 40[03] /,
  ),
  row('a URL with a password', `GET http://a:b@one.example.org/ HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('a URL without a host', `GET http:/// HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('a URL with a fragment', `GET ${url}#a HTTP/1.1\r\nHost: x\r\n${close}`, passed),
  row('a host in 9,000 labels', `GET http://${'a.'.repeat(9_000)}/ HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('an invalid IPv6 host', `GET http://[::1::]/ HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
  row('*', `OPTIONS * HTTP/1.1\r\nHost: x\r\n${close}`, invalid),
]

const tunnels: InvalidRequest[] = [
  '',
  ':',
  ':80',
  'one.example.org',
  'one.example.org:0',
  'one.example.org:99999',
  'one.example.org:8o',
  '*:80',
  '[::1',
  '[]:80',
  'a@one.example.org:80',
  '/:80',
  `${url}:80`,
  `${'a'.repeat(9_000)}:80`,
  'one\xff.org:80',
].map((target) => {
  return row(
    `CONNECT to '${target.slice(0, 30)}'`,
    `CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`,
    /^HTTP\/1\.1 40[03] /,
  )
})

const headers: InvalidRequest[] = [
  row('no Host', `GET ${url} HTTP/1.1\r\n${close}`, invalid),
  row('two Hosts', `${get}Host: y\r\n${close}`, invalid),
  row('an invalid Host', `GET ${url} HTTP/1.1\r\nHost: \x80 [:::\r\n${close}`, passed),
  row('NUL in a value', `${get}X-A: a\x00b\r\n${close}`, invalid),
  row('a bare CR in a value', `${get}X-A: a\rb\r\n${close}`, invalid),
  row('bytes over 0x7f in a value', `${get}X-A: \x80\xff\r\n${close}`, passed),
  row('bytes over 0x7f in a name', `${get}X-\xe9: a\r\n${close}`, invalid),
  row('the name __proto__', `${get}__proto__: a\r\n${close}`, passed),
  row('2,000 headers', `${get}${'a:\r\n'.repeat(2_000)}${close}`, passed),
  row('a length after 2,000 headers', `${post}${'a:\r\n'.repeat(2_000)}Content-Length: 5\r\n${close}hello`, passedOnce),
  row('headers of 200,000 bytes', `${get}${`X-A: ${'a'.repeat(1_000)}\r\n`.repeat(200)}\r\n`, invalidOrClosed),
  row(
    'Expect: 100-continue',
    `${post}Expect: 100-continue\r\nContent-Length: 5\r\n${close}hello`,
    /^HTTP\/1\.1 100 [^]* 200 OK/,
  ),
  row('an unknown Expect value', `${post}Expect: \x80wonders\r\nContent-Length: 5\r\n${close}hello`, passed),
  row(
    'an upgrade to another protocol',
    `${get}Upgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n\x81\x05hello`,
    passedOnce,
  ),
  row(
    'HTTP/2 in the clear',
    `${get}Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, close\r\n\r\n`,
    passed,
  ),
]

const bodies: InvalidRequest[] = [
  row(
    'a body of 2 MiB to a host that is not allowed',
    `POST http://two.example.org/ HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 << 20}\r\n${close}${'a'.repeat(2 << 20)}`,
    refused,
  ),
  row(
    '2 MiB after a CONNECT that is refused',
    `CONNECT two.example.org:443 HTTP/1.1\r\n\r\n${'a'.repeat(2 << 20)}`,
    refused,
  ),
  row('2 MiB that are not a request', 'a'.repeat(2 << 20), invalid),
  row('a negative length', `${post}Content-Length: -1\r\n${close}`, invalid),
  row('a length of 2^80', `${post}Content-Length: 1208925819614629174706176\r\n${close}`, invalid),
  row('two lengths', `${post}Content-Length: 5\r\nContent-Length: 6\r\n${close}hello`, invalid),
  row('a length and chunks', `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n${close}0\r\n\r\n`, invalid),
  row('a coding after a tab', `${post}Transfer-Encoding:\tchunked\r\n${close}0\r\n\r\n`, passed),
  row('a coding after \\v', `${post}Transfer-Encoding: \x0bchunked\r\n${close}0\r\n\r\n`, invalid),
  row(
    'a chunk with an invalid size',
    `${post}Transfer-Encoding: chunked\r\n${close}zz\r\nhello\r\n0\r\n\r\n`,
    invalidOrClosed,
  ),
  row(
    'a chunk extension of 100,000 bytes',
    `${post}Transfer-Encoding: chunked\r\n${close}5;${'a'.repeat(100_000)}\r\nhello\r\n0\r\n\r\n`,
    invalidOrClosed,
  ),
  row('trailers', `${post}Transfer-Encoding: chunked\r\n${close}0\r\nHost: y\r\nX-A: \x80\r\n\r\n`, passed),
  row(
    'invalid trailers',
    `${post}Transfer-Encoding: chunked\r\n${close}0\r\n\x00\r\n\r\n`,
    /^(HTTP\/1\.1 (400|200) |$)/,
  ),
  row(
    'a second request after the body of a GET',
    `${get}Content-Length: 3\r\n${close}abc${get}\r\n`,
    /^(?![^]*hello[^]*hello)(HTTP\/1\.1 200 |$)/,
  ),
  row('pipelined requests', `${get}\r\n`.repeat(50) + get + close, /^HTTP\/1\.1 200 [^]* 503 /),
  row(
    'a pipelined CONNECT',
    `${get}\r\nCONNECT one.example.org:22 HTTP/1.1\r\n\r\n`,
    /^(HTTP\/1\.1 200 [^]*hello[^]*|$)/,
  ),
  row('pipelined random bytes', `${get}\r\n\x00\x01\x02\r\n\r\n`, /^(HTTP\/1\.1 |$)/),
]

const ends: InvalidRequest[] = [
  { name: 'half a line, and a close', steps: ['GET http://one', 'END'], expected: invalidOrClosed },
  { name: 'half a line, and a reset', steps: ['GET http://one', 20, 'RESET'], expected: /^/ },
  { name: 'half of its headers, and a close', steps: [`${get}X-A: b`, 'END'], expected: invalidOrClosed },
  { name: 'half of its headers, and a reset', steps: [`${get}X-A: b`, 20, 'RESET'], expected: /^/ },
  {
    name: 'half of its body, and a close',
    steps: [`${post}Content-Length: 9\r\n${close}hell`, 50, 'END'],
    expected: invalidOrClosed,
  },
  {
    name: 'half of its body, and a reset',
    steps: [`${post}Content-Length: 9\r\n${close}hell`, 50, 'RESET'],
    expected: /^/,
  },
  {
    name: 'half a chunk, and a reset',
    steps: [`${post}Transfer-Encoding: chunked\r\n${close}9\r\nhell`, 50, 'RESET'],
    expected: /^/,
  },
  {
    name: 'a reset during the response',
    steps: [`GET ${url}big?bytes=50000000 HTTP/1.1\r\nHost: x\r\n${close}`, 50, 'RESET'],
    expected: /^/,
  },
  {
    name: 'a reset of a tunnel',
    steps: ['CONNECT one.example.org:22 HTTP/1.1\r\nHost: x\r\n\r\nhello', 50, 'RESET'],
    expected: /^/,
  },
  { name: 'a line, one byte a second', steps: [{ loop: 'G', everyMs: 1_000 }], expected: invalidOrClosed },
  { name: 'endless headers', steps: [get, { loop: 'X-A: b\r\n', everyMs: 100 }], expected: invalidOrClosed },
  { name: 'half of its headers, and silence', steps: [`${get}X-A`, 40_000], expected: invalidOrClosed },
]

export const invalidRequests: readonly InvalidRequest[] = [...lines, ...tunnels, ...headers, ...bodies, ...ends]

function row(name: string, step: Step, expected: RegExp): InvalidRequest {
  return { name, steps: [step], expected }
}
