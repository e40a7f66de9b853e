import { validateHeaderName, validateHeaderValue } from 'node:http'
import { ToolInputError } from '@theazo/core/tools'

export const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'] as const

export const maxBodyChars = 1_000_000
const maxHeaders = 50

/** Input of `http_request`. */
export interface HttpRequestInput {
  url: string
  method?: (typeof methods)[number] | undefined
  headers?: string | undefined
  body?: string | undefined
}

/** One request, before it is sent. */
export interface WebRequest {
  url: URL
  method: string
  /** Names in lower case. */
  headers: ReadonlyMap<string, string>
  body: string | undefined
}

/** Headers that only the server sets: they describe the connection or the length of the body. */
const reservedHeaders: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** @throws {ToolInputError} that names the field and how to correct it. */
export function requestOf({ url, method = 'GET', headers = '', body }: HttpRequestInput): WebRequest {
  if (body !== undefined && (method === 'GET' || method === 'HEAD')) {
    throw wrong(`body: a ${method} request has no body. Leave it out, or use POST.`)
  }
  return { url: webUrl(url), method, headers: headersOf(headers, body), body }
}

/** @throws {ToolInputError} if it is not an http or https address without credentials. */
export function webUrl(text: string, base?: URL): URL {
  const url = URL.parse(text, base)
  if (!url) throw wrong(`url: ${shown(text)} is not an address. Write it whole: https://example.org/path.`)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw wrong(`url: ${shown(url.protocol)} is not possible. Use http:// or https://.`)
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong('url: remove the user name and the password. Send the header Authorization instead.')
  }
  url.hash = ''
  return url
}

function headersOf(lines: string, body: string | undefined): Map<string, string> {
  const headers = new Map([
    ['accept', '*/*'],
    ['user-agent', 'Theazo (http_request)'],
  ])
  if (body !== undefined) headers.set('content-type', isJson(body) ? 'application/json' : 'text/plain; charset=utf-8')
  const written = lines.split(/\r?\n/).filter((line) => line.trim() !== '')
  if (written.length > maxHeaders) throw wrong(`headers: ${written.length} are too many. Send at most ${maxHeaders}.`)
  for (const line of written) {
    const [name, value] = headerOf(line)
    headers.set(name, value)
  }
  return headers
}

function headerOf(line: string): [name: string, value: string] {
  const colon = line.indexOf(':')
  if (colon < 1) throw wrong(`headers: ${shown(line)} is not a header. Write Name: value, one on each line.`)
  const name = line.slice(0, colon).trim().toLowerCase()
  const value = line.slice(colon + 1).trim()
  if (reservedHeaders.has(name) || name.startsWith('proxy-')) {
    throw wrong(`headers: remove ${shown(name)}. The request gets it by itself.`)
  }
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  } catch {
    // Without the value: it may be a secret.
    throw wrong(`headers: ${shown(name)} has a character that HTTP does not allow. Use ASCII letters and digits.`)
  }
  return [name, value]
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function wrong(message: string): ToolInputError {
  return new ToolInputError(`http_request did not run. ${message}`)
}

function shown(text: string): string {
  return JSON.stringify(text.length <= 60 ? text : `${text.slice(0, 57)}…`)
}
