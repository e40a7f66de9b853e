import { type IncomingMessage, STATUS_CODES, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TheazoServerError } from '../../../errors.ts'
import { egressLimits } from './egress-limits.ts'

/** How one request of code ended, in logs and metrics. */
export const egressOutcomes = [
  'passed',
  'not_allowed',
  'not_public',
  'invalid',
  'unresolved',
  'unreachable',
  /** The target sent something that is not an HTTP answer. */
  'bad_answer',
  'timeout',
  'busy',
  /** The proxy process was not running. */
  'unavailable',
  /** The code was gone before there was a connection. */
  'abandoned',
] as const

/** One of {@link egressOutcomes}. */
export type EgressOutcome = (typeof egressOutcomes)[number]

const statusOf = {
  invalid: 400,
  not_allowed: 403,
  not_public: 403,
  unresolved: 502,
  unreachable: 502,
  bad_answer: 502,
  busy: 503,
  unavailable: 503,
  timeout: 504,
} as const satisfies Partial<Record<EgressOutcome, number>>

/** The proxy refuses a request. The message is one line for the author of the code. */
export class EgressRefusal extends TheazoServerError {
  override readonly name = 'EgressRefusal'
  readonly outcome: keyof typeof statusOf

  constructor(outcome: keyof typeof statusOf, reason: string) {
    super(`theazo: ${reason}`)
    this.outcome = outcome
  }

  get status(): number {
    return statusOf[this.outcome]
  }
}

/** Hides the details of any other error from the code. */
export function asRefusal(error: unknown): EgressRefusal {
  return error instanceof EgressRefusal ? error : new EgressRefusal('unreachable', 'the connection failed')
}

/** Sockets whose last answer is written. Further data of their clients is dropped. */
const refused = new WeakSet<Duplex>()

/** Whether {@link endRefused} has answered on this socket. */
export const isRefused = (socket: Duplex): boolean => refused.has(socket)

/**
 * Writes the whole answer to a socket without a response object, and closes it. Clients rarely show the body of a refused
 * CONNECT, but many show the reason after the status (Python does), so the message is in both.
 *
 * A client that still sends its request reads the answer afterwards. If the socket were closed with unread bytes, the
 * client would get a reset in place of the answer. So the rest is read and dropped until the client closes, for at
 * most {@link egressLimits.lingerMs}.
 */
export function endRefused(socket: Socket, { status, message }: EgressRefusal): void {
  if (refused.has(socket)) return
  refused.add(socket)
  const body = `${message}\n`
  const reason = /^[ -~]*$/.test(message) ? message : STATUS_CODES[status]
  const timer = setTimeout(() => socket.destroy(), egressLimits.lingerMs)
  socket.once('close', () => clearTimeout(timer))
  socket.once('end', () => socket.destroySoon())
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
  socket.resume()
  if (socket.readableEnded) socket.destroySoon()
}

/** Writes the whole answer to a plain request. If another answer has begun, closes the connection. */
export function answerRefused(request: IncomingMessage, response: ServerResponse, refusal: EgressRefusal): void {
  const { status, message } = refusal
  if (response.headersSent) {
    response.destroy()
    return
  }
  const isNext = response.socket !== null // no other answer is being written to this connection
  if (!request.complete && isNext) {
    request.resume()
    endRefused(request.socket, refusal)
    return
  }
  const body = Buffer.from(`${message}\n`)
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    ...(!request.complete && { connection: 'close' }),
  })
  response.end(body)
}
