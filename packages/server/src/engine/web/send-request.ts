import { type IncomingMessage, type OutgoingHttpHeaders, request as send } from 'node:http'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { isIP } from 'node:net'
import { once } from 'node:events'
import { connectTo, type EgressRoute } from '../../compute/local/egress/connect.ts'
import { EgressRefusal } from '../../compute/local/egress/refusal.ts'
import { hostOf } from '../../network/host-name.ts'
import { readBody, type TextBody } from './body-text.ts'
import type { WebRequest } from './request-input.ts'
import { maxHeaderChars } from './request-limits.ts'

/** The answer to one request. */
export interface WebResponse {
  status: number
  /** Lines of `name: value`. */
  headers: string
  /** Where to send the next request; undefined if this answer is the last. */
  location: string | undefined
  body: TextBody
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/**
 * Sends one request over a connection of its own.
 *
 * @param ended ends the connection. A body that has begun is then returned as far as it came, unless `ended` is the caller's.
 * @throws {EgressRefusal} if the target is refused, or sends no valid answer.
 */
export async function sendRequest(request: WebRequest, route: EgressRoute, ended: AbortSignal): Promise<WebResponse> {
  const { url, method } = request
  const host = hostOf(url.hostname)
  if (host === undefined) throw new EgressRefusal('invalid', `${url.hostname} is not a host`)
  const isTls = url.protocol === 'https:'
  const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port)
  const plain = await connectTo({ host, port }, route, ended)
  try {
    const socket = isTls ? await secured(plain, host, ended) : plain
    const answer = await answerTo(request, socket, ended)
    const { statusCode: status = 0, headers } = answer
    const location = redirects.has(status) ? headers.location : undefined
    const hasBody = method !== 'HEAD' && location === undefined
    return { status, headers: linesOf(answer), location, body: hasBody ? await readBody(answer, ended) : {} }
  } finally {
    plain.destroy()
  }
}

async function secured(plain: Duplex, host: string, ended: AbortSignal): Promise<Duplex> {
  const name = isIP(host) > 0 ? {} : { servername: host }
  const socket = connectTls({ socket: plain, host, ...name, ALPNProtocols: ['http/1.1'] })
  socket.on('error', () => {}) // reported below, and after that by the answer
  try {
    await once(socket, 'secureConnect', { signal: ended })
    return socket
  } catch (error) {
    ended.throwIfAborted()
    const { code = 'no reason given' } = error as { code?: string }
    throw new EgressRefusal('unreachable', `${host} offers no valid TLS connection (${code})`)
  }
}

async function answerTo(
  { url, method, headers, body }: WebRequest,
  socket: Duplex,
  ended: AbortSignal,
): Promise<IncomingMessage> {
  const fields: OutgoingHttpHeaders = {
    ...Object.fromEntries(headers),
    host: url.host,
    'accept-encoding': 'gzip, deflate, br',
    connection: 'close',
    ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
    ...(body === undefined && !bodiless.has(method) && { 'content-length': 0 }),
  }
  const path = `${url.pathname}${url.search}`
  const outgoing = send({
    method,
    path,
    headers: fields,
    setHost: false,
    createConnection: () => socket,
    signal: ended,
  })
  outgoing.on('error', () => {}) // also after the answer has begun
  outgoing.end(body)
  try {
    const [answer] = (await once(outgoing, 'response', { signal: ended })) as [IncomingMessage]
    return answer
  } catch (error) {
    ended.throwIfAborted()
    const { code = '' } = error as { code?: string }
    if (code === 'HPE_HEADER_OVERFLOW')
      throw new EgressRefusal('bad_answer', `${url.host} sent headers of more than 16 KiB`)
    if (code.startsWith('HPE_'))
      throw new EgressRefusal('bad_answer', `${url.host} sent something that is not an HTTP answer`)
    throw new EgressRefusal('unreachable', `${url.host} ended the connection without an answer`)
  }
}

const bodiless: ReadonlySet<string> = new Set(['GET', 'HEAD'])

function linesOf({ headersDistinct }: IncomingMessage): string {
  const lines = Object.entries(headersDistinct).flatMap(([name, values = []]) =>
    values.map((value) => `${name}: ${value}`),
  )
  const text = lines.join('\n')
  return text.length <= maxHeaderChars ? text : `${text.slice(0, maxHeaderChars)}\n[further headers cut]`
}
