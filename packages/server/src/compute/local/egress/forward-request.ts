import {
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as send,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { EgressRefusal } from './refusal.ts'
import type { TargetUrl } from './target.ts'

/** Of one connection and not of the message (RFC 9110, 7.6.1); `expect` is answered here. All of `proxy-` go too. */
const hopByHop = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'])

/**
 * What is passed on of a request's headers.
 *
 * @throws {EgressRefusal} 400 where it is not clear how long its body is.
 */
export function headersToSend(request: IncomingMessage, { authority }: TargetUrl): OutgoingHttpHeaders {
  const { 'content-length': _told, ...kept } = endToEnd(request)
  return { ...kept, ...framing(request), host: authority }
}

/**
 * Sends a request on over a connection of its own, and its answer back. How long a body is, each side tells anew: it is
 * parsed here and written here, so that no two can understand it differently.
 *
 * @returns when the answer is out, or its client gone.
 * @throws {EgressRefusal} where there was no answer.
 */
export async function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  target: TargetUrl,
  headers: OutgoingHttpHeaders,
  upstream: Socket,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const options = { method: request.method, path: target.path, headers, setHost: false }
  const outgoing = send({ ...options, createConnection: () => upstream })
  response.once('close', () => {
    outgoing.destroy()
    resolve()
  })
  outgoing.on('error', () => {
    if (response.headersSent) response.destroy() // half an answer must not look like a whole one
    else reject(new EgressRefusal('unreachable', `${target.host} ended the connection without an answer`))
  })
  outgoing.once('response', (answer) => sendBack(answer, response, request, outgoing))
  request.on('error', () => {}) // its client is gone, which closes the response
  request.pipe(outgoing)
  await promise
}

function sendBack(
  answer: IncomingMessage,
  response: ServerResponse,
  request: IncomingMessage,
  out: ClientRequest,
): void {
  // What is left of the body goes nowhere, and may never end.
  if (!request.complete) response.setHeader('connection', 'close')
  out.once('close', () => {
    request.unpipe(out)
    request.resume()
  })
  response.sendDate = false
  try {
    for (const [name, values] of Object.entries(endToEnd(answer))) response.setHeader(name, values)
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage)
  } catch (error) {
    out.destroy(error instanceof Error ? error : undefined) // it holds what HTTP cannot carry
    return
  }
  pipeline(answer, response, () => {})
}

function endToEnd(message: IncomingMessage): Record<string, string[]> {
  const named = (message.headers.connection ?? '').toLowerCase().split(',')
  const dropped = new Set([...hopByHop, ...named.map((name) => name.trim())])
  dropped.delete('content-length') // nobody can name it away
  const kept = Object.entries(message.headersDistinct).filter(([name]) => {
    return !dropped.has(name) && !name.startsWith('proxy-')
  })
  return Object.fromEntries(kept.map(([name, values = []]) => [name, values]))
}

/** @throws {EgressRefusal} for a coding that nobody here would undo. */
function framing({ headers, method }: IncomingMessage): Record<string, string> {
  const { 'transfer-encoding': coding, 'content-length': length } = headers
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    throw new EgressRefusal('invalid', 'of transfer codings this proxy takes chunked alone')
  }
  if (coding !== undefined) return { 'transfer-encoding': 'chunked' }
  if (length !== undefined) return { 'content-length': length }
  return method === 'GET' || method === 'HEAD' ? {} : { 'content-length': '0' }
}
