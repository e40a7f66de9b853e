import type { ServerResponse } from 'node:http'
import { type ApiAnswer, errorAnswer } from './api-answer.ts'
import type { ApiRequest } from './fake-api.ts'

/** The request and the response that a fault acts on. */
interface Exchange {
  request: ApiRequest
  response: ServerResponse
  /** Headers of every response: the request id, and the extensions if the server sends them. */
  headers: Record<string, string>
  /** Performs the request, as a server does before its response is lost. */
  perform(): ApiAnswer
}

/** One kind of misbehaviour of the server. */
export type Fault = (exchange: Exchange) => void

/** Answers with this status and body. */
export function answer(status: number, body: string | Uint8Array = '', headers: Record<string, string> = {}): Fault {
  return ({ response, headers: usual }) => response.writeHead(status, { ...usual, ...headers }).end(body)
}

/** Answers with the API's own error format. */
export function envelope(
  status: number,
  code: string,
  {
    details,
    headers,
    message,
  }: { details?: Record<string, unknown>; headers?: Record<string, string>; message?: string } = {},
): Fault {
  const { body } = errorAnswer(status, code, message, details)
  return answer(status, JSON.stringify(body), { 'content-type': 'application/json', ...headers })
}

/** The HTML page of a proxy in place of a response. */
export function page(status: number): Fault {
  return answer(status, '<!doctype html><title>Proxy</title><p>Try again later', { 'content-type': 'text/html' })
}

/** Performs the request, then resets the connection before the response. */
export const resetBeforeAnswer: Fault = ({ response, perform }) => {
  perform()
  response.socket?.resetAndDestroy()
}

/** Performs the request, then closes the connection (FIN) before the response. */
export const closeBeforeAnswer: Fault = ({ response, perform }) => {
  perform()
  response.socket?.destroy()
}

/** Performs the request, sends the head and a part of the body, then resets the connection. */
export const resetMidBody: Fault = (exchange) => {
  sendPart(exchange, () => exchange.response.socket?.resetAndDestroy())
}

/** Performs the request and never answers. */
export const stallBeforeHead: Fault = ({ perform }) => {
  perform()
}

/** Performs the request, sends the head and a part of the body, then stalls. */
export const stallMidBody: Fault = (exchange) => sendPart(exchange, () => {})

/** Sends bytes that are not HTTP. */
export const garbage: Fault = ({ response }) => {
  response.socket?.end('SSH-2.0-OpenSSH_9.6\r\n')
}

function sendPart({ response, headers, perform }: Exchange, then: () => void): void {
  const { status, body } = perform()
  const text = JSON.stringify(body)
  response.writeHead(status, { ...headers, 'content-type': 'application/json', 'content-length': text.length })
  response.write(text.slice(0, text.length / 2), then)
}

/** An event stream with exactly these bytes, then its end. */
export function eventStream(text: string, by: 'end' | 'reset' | 'stall' = 'end'): Fault {
  return ({ response, headers }) => {
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
    response.write(text, () => {
      if (by === 'end') response.end()
      if (by === 'reset') response.socket?.resetAndDestroy()
    })
  }
}
