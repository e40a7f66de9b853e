import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { TheazoServerError } from '../../../errors.ts'

/** How one request of code ended, as operators are told. */
export type EgressOutcome =
  | 'passed'
  | 'not_allowed'
  | 'not_public'
  | 'invalid'
  | 'unresolved'
  | 'unreachable'
  | 'timeout'
  | 'busy'
  /** The code was gone before there was a connection. */
  | 'abandoned'

const statusOf = {
  invalid: 400,
  not_allowed: 403,
  not_public: 403,
  unresolved: 502,
  unreachable: 502,
  busy: 503,
  timeout: 504,
} as const satisfies Partial<Record<EgressOutcome, number>>

/** Why the proxy does not do what it was asked. The message is one line for whoever wrote the code. */
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

/** What is thrown for any other reason is not the code's to know. */
export function asRefusal(error: unknown): EgressRefusal {
  return error instanceof EgressRefusal ? error : new EgressRefusal('unreachable', 'the connection failed')
}

/**
 * The whole answer, for a socket without a response object. Clients rarely show the body of a refused CONNECT, but many
 * show the reason after the status (Python does): so it stands there too.
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
