import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { TheazoServerError } from '../../../errors.ts'

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
  /** The process of the proxy was not running. */
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

/** Why the proxy refuses a request. The message is one line for whoever wrote the code. */
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

/** The code does not get to know any other error. */
export function asRefusal(error: unknown): EgressRefusal {
  return error instanceof EgressRefusal ? error : new EgressRefusal('unreachable', 'the connection failed')
}

/**
 * The whole answer, for a socket without a response object. Clients rarely show the body of a refused CONNECT, but many
 * show the reason after the status (Python does), so the message is there too.
 */
export function endRefused(socket: Socket, { status, message }: EgressRefusal): void {
  const body = `${message}\n`
  const reason = /^[ -~]*$/.test(message) ? message : STATUS_CODES[status]
  socket.once('finish', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

/** The whole answer to a plain request, unless one has begun: then the connection is closed. */
export function answerRefused(response: ServerResponse, { status, message }: EgressRefusal, keepsOpen: boolean): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = Buffer.from(`${message}\n`)
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    ...(!keepsOpen && { connection: 'close' }),
  })
  response.end(body)
}
