import { type IncomingMessage, type OutgoingHttpHeaders, request as send, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { EgressRefusal } from './refusal.ts'
import type { TargetUrl } from './target.ts'

/**
 * Headers that are not passed on: those of the connection (RFC 9110, 7.6.1), and `expect`, which the proxy answers
 * itself. Headers whose name starts with `proxy-` are not passed on either.
 */
const hopByHop = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'])
/** Interim answers (1xx) that one request may get. None is passed on. */
const maxInterimAnswers = 100

/**
 * The headers of a request that are passed on.
 *
 * @throws {EgressRefusal} 400 if the length of its body or its host is not clear.
 */
export function headersToSend(request: IncomingMessage, { authority }: TargetUrl): OutgoingHttpHeaders {
  const { httpVersionMajor, httpVersionMinor, headersDistinct } = request
  if (httpVersionMajor !== 1) throw new EgressRefusal('invalid', 'this proxy accepts HTTP/1.1 only')
  const hosts = headersDistinct['host'] ?? []
  if (hosts.length > 1 || (hosts.length === 0 && httpVersionMinor >= 1)) {
    throw new EgressRefusal('invalid', 'a request must have one Host header (RFC 9112, 3.2)')
  }
  const { 'content-length': _length, ...forwarded } = endToEnd(request)
  return { ...forwarded, ...framing(request), host: authority }
}

/**
 * Sends a request on over a connection of its own, and its answer back. Both messages are parsed and written again,
 * including their length, so that no two parties can interpret them differently. Whatever the target sends, the connection
 * is closed at the end.
 *
 * @param headersTimeoutMs from the first byte of the answer to the end of its headers.
 * @returns when the answer has been sent, or the client is gone.
 * @throws {EgressRefusal} if there was no answer that can be passed on.
 */
export async function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  target: TargetUrl,
  headers: OutgoingHttpHeaders,
  upstream: Socket,
  headersTimeoutMs: number,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => {}) // it may fail after the client has gone
  let answer: IncomingMessage | undefined
  let timer: NodeJS.Timeout | undefined
  let interimAnswers = 0
  const fail = (outcome: 'unreachable' | 'bad_answer' | 'timeout', what: string): void => {
    if (!response.headersSent) reject(new EgressRefusal(outcome, `${target.host} ${what}`))
    else if (!answer?.complete) response.destroy() // half an answer must not look like a whole one
    upstream.destroy()
  }
  const expectHeaders = (): void => {
    clearTimeout(timer)
    if (answer) return // its headers came with its first bytes
    timer = setTimeout(() => fail('timeout', 'did not finish the headers of its answer in time'), headersTimeoutMs)
  }
  try {
    const options = { method: request.method, path: target.path, headers, setHost: false }
    const outgoing = send({ ...options, createConnection: () => upstream })
    outgoing.maxHeadersCount = 0 // no limit: Node would drop further headers silently
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith('HPE_')) fail('bad_answer', 'sent something that is not an HTTP answer')
      else fail('unreachable', 'ended the connection without an answer')
    })
    response.once('close', resolve)
    if (request.socket.destroyed) return // its events have already fired
    if (upstream.destroyed) fail('unreachable', 'ended the connection without an answer')
    outgoing.once('socket', () => upstream.once('data', expectHeaders))
    outgoing.on('information', () => {
      interimAnswers += 1
      if (interimAnswers > maxInterimAnswers) fail('bad_answer', 'sent interim answers without end')
      else expectHeaders()
    })
    outgoing.on('upgrade', () => fail('bad_answer', 'switched to another protocol without a request'))
    upstream.once('close', () => {
      if (!response.headersSent) fail('unreachable', 'ended the connection without an answer')
      request.unpipe(outgoing)
      request.resume() // the rest of its body is dropped
    })
    outgoing.once('response', (received) => {
      clearTimeout(timer)
      answer = received
      const reason = whyRefused(received)
      if (reason !== undefined) fail('bad_answer', reason)
      else if (!sendBack(received, response, request)) fail('bad_answer', 'sent headers that HTTP cannot carry')
    })
    request.pipe(outgoing)
    await promise
  } finally {
    clearTimeout(timer)
    upstream.destroy()
  }
}

/** Undefined for an answer that can be passed on. */
function whyRefused({ statusCode: status = 0, headers }: IncomingMessage): string | undefined {
  if (status < 200) return `sent ${status} as the status of its answer`
  const coding = headers['transfer-encoding']
  if (coding === undefined || coding.toLowerCase() === 'chunked') return undefined
  return 'sent its answer in a transfer coding other than chunked'
}

/**
 * The reason phrase is not passed on: it may contain bytes that HTTP does not allow, and nobody needs it.
 *
 * @returns false if the headers cannot be passed on; nothing has been written then.
 */
function sendBack(answer: IncomingMessage, response: ServerResponse, request: IncomingMessage): boolean {
  const { statusCode: status = 0 } = answer
  const headers: OutgoingHttpHeaders = endToEnd(answer)
  if (status === 204) delete headers['content-length'] // RFC 9110, 8.6
  if (!request.complete) headers['connection'] = 'close' // the rest of its body is not read, and may never end
  response.sendDate = false
  try {
    response.writeHead(status, headers)
  } catch {
    return false
  }
  pipeline(answer, response, () => {})
  return true
}

function endToEnd(message: IncomingMessage): Record<string, string[]> {
  const named = (message.headers.connection ?? '').toLowerCase().split(',')
  const dropped = new Set([...hopByHop, ...named.map((name) => name.trim())])
  dropped.delete('content-length') // `Connection` cannot remove it
  const forwarded = Object.entries(message.headersDistinct).filter(([name]) => {
    return !dropped.has(name) && !name.startsWith('proxy-')
  })
  return Object.fromEntries(forwarded.map(([name, values = []]) => [name, values]))
}

/** @throws {EgressRefusal} for a transfer coding that this proxy cannot decode. */
function framing({ headers, method }: IncomingMessage): Record<string, string> {
  const { 'transfer-encoding': coding, 'content-length': length } = headers
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    throw new EgressRefusal('invalid', 'chunked is the only transfer coding that this proxy accepts')
  }
  if (coding !== undefined) return { 'transfer-encoding': 'chunked' }
  if (length !== undefined) return { 'content-length': length }
  return method === 'GET' || method === 'HEAD' ? {} : { 'content-length': '0' }
}
