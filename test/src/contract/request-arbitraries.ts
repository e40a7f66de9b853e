import * as fc from 'fast-check'
import type { JsonSchema, Route } from './openapi-routes.ts'

/** A request with placeholders: `own session` etc. stand for ids that exist when it is sent. */
export interface FuzzRequest {
  method: string
  /** Relative to the origin, with the query. */
  target: string
  headers: [name: string, value: string][]
  body: Uint8Array
  /** Facts about the request that determine its answer. */
  expected: { isKnownKey: boolean; route: Route | undefined; isKnownPath: boolean }
}

/** The placeholder of an existing id in a target. */
const placeholders = ['OWN-SESSION', 'OWN-AGENT', 'OWN-TASK', 'OWN-CURSOR', 'FOREIGN-SESSION', 'FOREIGN-AGENT']
/** The placeholder of the API key in a header. */
export const keyPlaceholder = 'OWN-KEY'

const prototypeNames = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'prototype',
  '__defineGetter__',
]
const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }), // lone surrogates, NUL, controls
  fc.string({ maxLength: 300 }),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    '\ud800',
    '\udfff\ud800',
    '\ufeff',
    '\u2028',
    'a\r\nx-evil: 1',
    '../../etc/passwd',
    ...prototypeNames,
  ),
  fc.integer({ min: 200, max: 60_000 }).map((length) => 'é'.repeat(length)),
)
const oddNumber = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, -0, 1e308, -1e308, 5e-324, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1.5, 86_401),
)

/** Any JSON value, with keys that include the special property names of JavaScript. */
const oddValue: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    oddText,
    oddNumber,
    fc.constantFrom(null, true, false, [], {}),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.oneof(oddText, fc.constantFrom(...prototypeNames)), tie('value')), { maxLength: 4 })
      .map((entries) => Object.fromEntries(entries)),
  ),
})).value

/** A value that matches the schema or nearly does: any part of it may be something else. */
function nearly(schema: JsonSchema): fc.Arbitrary<unknown> {
  const wrong = { weight: 1, arbitrary: oddValue }
  return fc.oneof({ weight: 12, arbitrary: fitting(schema) }, wrong)
}

function fitting(schema: JsonSchema): fc.Arbitrary<unknown> {
  const { type, properties = {}, required = [], anyOf, items, minimum, maximum } = schema
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (anyOf) return fc.oneof(...anyOf.map(nearly))
  if (type === 'object') {
    const known = Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, nearly(part)]))
    const withKnown = fc.record(known, { requiredKeys: required })
    const more = fc.dictionary(fc.oneof(oddText, fc.constantFrom(...prototypeNames)), oddValue, { maxKeys: 2 })
    return fc.oneof(
      { weight: 4, arbitrary: withKnown },
      { weight: 1, arbitrary: fc.tuple(more, withKnown).map(([odd, good]) => ({ ...odd, ...good })) },
    )
  }
  if (type === 'array') return fc.array(nearly(items ?? {}), { maxLength: 4 })
  if (type === 'boolean') return fc.boolean()
  if (type === 'null') return fc.constant(null)
  if (type === 'integer') return fc.integer({ min: minimum ?? 0, max: Math.min(maximum ?? 1000, 1000) })
  if (type === 'number') return fc.double({ min: minimum ?? 0, max: maximum ?? 1e6, noNaN: true })
  return fc.oneof(fc.string({ minLength: 1, maxLength: 20 }), fc.constantFrom('local', 'run_code', 'print(2 + 2)'))
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

/** The value as the text of a body; a few are not JSON, or not text. */
function bodyOf(schema: JsonSchema): fc.Arbitrary<Uint8Array> {
  const json = nearly(schema).map((value) => JSON.stringify(value) ?? '')
  return fc.oneof(
    { weight: 20, arbitrary: json.map(bytes) },
    { weight: 2, arbitrary: fc.constant(bytes('')) },
    { weight: 1, arbitrary: json.map((text) => bytes(`\ufeff${text}`)) },
    {
      weight: 1,
      arbitrary: fc.tuple(json, fc.nat()).map(([text, at]) => bytes(text.slice(0, at % (text.length + 1)))),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
    {
      weight: 2, // bytes that are not UTF-8 in JSON
      arbitrary: fc
        .tuple(json, fc.nat(), fc.constantFrom([0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0x00], [0x80]))
        .map(([text, at, odd]) => {
          const whole = Buffer.from(text)
          const cut = at % (whole.length + 1)
          return Buffer.concat([whole.subarray(0, cut), Buffer.from(odd), whole.subarray(cut)])
        }),
    },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 5000 }).map((n) => bytes('{"metadata":'.repeat(n))) },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 5000 }).map((n) => bytes(`${'['.repeat(n)}${']'.repeat(n)}`)) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom('{"userId":1e400}', '{"a":1,"a":2}', '{"__proto__":{"userId":"x"}}', 'NaN', '1')
        .map(bytes),
    },
  )
}

const oddId = fc.oneof(
  fc.constantFrom(...placeholders),
  fc.constantFrom(
    '..%2f..%2fhealthz',
    '%2e%2e',
    '.',
    '%2F',
    'a%2Fb',
    '%00',
    '%ff%fe',
    '%',
    '%zz',
    '%25',
    '*',
    ':id',
    '~',
    '__proto__',
  ),
  fc.constantFrom(
    'agt_01HX3K2M4N5P6Q7R8S9T0V1W2X',
    'ses_',
    'agt_%F0%9F%98%80',
    "a'--",
    '%27%20OR%201=1',
    'ses_01hx3k2m4n5p6q7r8s9t0v1w2x',
  ),
  fc.integer({ min: 200, max: 3000 }).map((length) => 'a'.repeat(length)),
  oddText.map((text) => encodeURIComponent(text.toWellFormed()).slice(0, 3000)),
)

const ownId = (path: string, name: string): string =>
  name === 'taskId' ? 'OWN-TASK' : path.startsWith('/sessions/') ? 'OWN-SESSION' : 'OWN-AGENT'

/** The path with ids; most are valid, so that the fuzz gets past the lookup. */
function pathOf(path: string): fc.Arbitrary<string> {
  const names = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name)
  const ids = names.map((name) =>
    fc.oneof(
      { weight: 6, arbitrary: fc.constant(name === 'userId' ? 'u' : ownId(path, name)) },
      { weight: 2, arbitrary: oddId },
    ),
  )
  return fc.tuple(...ids).map((values) => path.replaceAll(/\{\w+\}/g, () => values.shift() ?? ''))
}

function queryOf(query: Record<string, JsonSchema>): fc.Arbitrary<string> {
  const names = [...Object.keys(query), 'unknown', '__proto__', 'limit[]', '%zz', '']
  const known = new Map<string, string[]>(
    Object.entries({
      cursor: ['OWN-CURSOR', 'cur_01HX3K2M4N5P6Q7R8S9T0V1W2X', 'cur_', 'ses_01HX3K2M4N5P6Q7R8S9T0V1W2X'],
      limit: ['1', '100', '101', '-1', '1e1', '0x1'],
      lastEventId: ['0', '1', '999999999999999', '1e3', '-1'],
      sessionId: ['OWN-SESSION', 'FOREIGN-SESSION', ''],
      from: ['2026-01-01', '0000-01-01', '9999-12-31T23:59:59-23:59', '2026-02-30', '1', '2026-01-01T00:00:00'],
      until: ['2026-01-01', '9999-12-31', '0000-01-01T00:00:00%2B23:59'],
      status: ['active', 'idle', 'terminated', 'IDLE'],
    }),
  )
  const value = (name: string): fc.Arbitrary<string> =>
    fc.oneof(
      fc.constantFrom(...(known.get(name) ?? ['x'])),
      fc.constantFrom('', '%', '%ff', '%00', '%u0041', '+', '=', '%26', 'a=b'),
      oddText.map((text) => encodeURIComponent(text.toWellFormed()).slice(0, 500)),
    )
  const one = fc.constantFrom(...names).chain((name) => value(name).map((text) => `${name}=${text}`))
  return fc.oneof(
    fc.constant(''),
    fc.array(one, { minLength: 1, maxLength: 4 }).map((parts) => `?${parts.join('&')}`),
    fc.constantFrom('?', '?&&', '?=', '??', '?limit', '?%'),
  )
}

/** A valid header value: Latin-1 without control characters except tab. */
const headerText = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'abcXYZ 0129-_.,;=*/\t\u00e9\u00ff"'), maxLength: 60 }),
  fc.constantFrom('', '*', ',', 'text/event-stream', 'application/json', 'x'.repeat(1500)),
)
const oddHeader = fc.oneof(
  fc.tuple(
    fc.constantFrom('Idempotency-Key', 'Last-Event-ID', 'Accept', 'Content-Type', 'X-Forwarded-For', 'Forwarded'),
    headerText,
  ),
  fc.tuple(fc.constant('Idempotency-Key'), fc.stringMatching(/^key-[a-d]$/)),
  fc.tuple(
    fc.constant('Last-Event-ID'),
    fc.constantFrom('0', '1', '007', '999999999999999', '9'.repeat(30), '-1', '1.5', ' 1'),
  ),
  fc.tuple(
    fc.constant('Content-Type'),
    fc.constantFrom(
      'text/xml',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      'application/json; charset=utf-16',
    ),
  ),
  fc.tuple(fc.constant('Content-Encoding'), fc.constantFrom('gzip', 'br', 'identity', 'deflate, gzip')),
  fc.tuple(fc.constant('X-HTTP-Method-Override'), fc.constantFrom('DELETE', 'GET')),
  fc.tuple(fc.constant('Cookie'), headerText),
  fc.tuple(fc.constant('Origin'), fc.constantFrom('null', 'https://evil.example')),
  fc.tuple(fc.constant('X-Request-Id'), fc.constantFrom('req_mine', 'x'.repeat(1500))),
  fc.tuple(fc.constant('Range'), fc.constant('bytes=0-1')),
  fc.tuple(fc.constant('If-None-Match'), fc.constant('*')),
  fc.tuple(fc.constant('Transfer-Encoding-X'), headerText),
)
const authorization = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.constantFrom(`Bearer ${keyPlaceholder}`, `bearer ${keyPlaceholder}`, `BEARER ${keyPlaceholder}`),
  },
  {
    weight: 3,
    arbitrary: fc.oneof(
      fc.constantFrom(
        undefined,
        '',
        'Bearer',
        'Bearer ',
        keyPlaceholder,
        `Basic ${keyPlaceholder}`,
        `Bearer x${keyPlaceholder}`,
        `Bearer ${keyPlaceholder} x`,
        'Bearer th_live_x',
      ),
      headerText.map((text) => `Bearer z${text}`),
      headerText.filter((text) => !/^bearer/i.test(text)),
    ),
  },
)
const methods = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'LINK',
  'PURGE',
  'QUERY',
]
const hosts = fc.constantFrom('127.0.0.1', 'theazo.local:80', 'evil.example', '[::1]:4020', 'UPPER', '127.0.0.1.')

/** Requests of a route, most of them nearly valid. */
export function requestsOf(route: Route, isKnownPath = true): fc.Arbitrary<FuzzRequest> {
  return fc
    .record({
      method: fc.oneof(
        { weight: 8, arbitrary: fc.constant(route.method) },
        { weight: 1, arbitrary: fc.constantFrom(...methods) },
      ),
      path: pathOf(route.path),
      query: queryOf(route.query),
      host: hosts,
      authorization,
      odd: fc.array(oddHeader, { maxLength: 3 }),
      body: bodyOf(route.body ?? {}),
    })
    .map(({ method, path, query, host, authorization, odd, body }) => {
      const isBodied = method !== 'GET' && method !== 'HEAD' && method !== 'TRACE'
      const headers: [string, string][] = [['Host', host], ...odd]
      if (authorization !== undefined) headers.push(['Authorization', authorization])
      const isKnownKey = /^bearer OWN-KEY$/i.test(authorization ?? '')
      const expected = { isKnownKey, route: method === route.method ? route : undefined, isKnownPath }
      return { method, target: `/v1${path}${query}`, headers, body: isBodied ? body : new Uint8Array(), expected }
    })
}
