import { ConfigurationError, ConnectionError, InvalidResponseError, TheazoError, TimeoutError } from './errors.ts'
import { wireError } from './wire-error.ts'

/** How calls reach the API. */
export interface TransportOptions {
  /** API key, `th_live_…` or `th_test_…`. Default: the environment's `THEAZO_API_KEY`. */
  apiKey?: string | undefined
  /** With or without `/v1`. Default: the environment's `THEAZO_BASE_URL`, else `https://api.theazo.com/v1`. */
  baseUrl?: string | undefined
  /** Takes the place of the platform's `fetch`; an embedded server's goes here. */
  fetch?: typeof globalThis.fetch | undefined
  /** Deadline of a call in milliseconds, its body included. Default 30,000; exec has 130,000 of its own. */
  timeoutMs?: number | undefined
  /** Sent with every request; they may replace ours, but for `authorization`. */
  headers?: Record<string, string> | undefined
  /** Added to the `User-Agent`: an adapter's name and version. */
  userAgent?: string | undefined
}

/** What any single call may be given. */
export interface CallOptions {
  /** Ends the call; it rejects with the signal's reason. An aborted signal sends nothing. */
  signal?: AbortSignal | undefined
  /** Deadline of this call in milliseconds, its body included. */
  timeoutMs?: number | undefined
}

interface TransportRequest extends CallOptions {
  method: 'GET' | 'POST'
  /** Path segments below the base URL; each is encoded. */
  path: readonly string[]
  body?: unknown
}

const defaultBaseUrl = 'https://api.theazo.com/v1'
const defaultTimeoutMs = 30_000

/** The one place where a request is made. */
export class Transport {
  readonly baseUrl: string
  // Private fields: neither JSON nor an inspector shows what holds the key.
  readonly #fetch: typeof globalThis.fetch
  readonly #headers: Record<string, string>
  readonly #timeoutMs: number

  constructor(options: TransportOptions) {
    const apiKey = options.apiKey ?? environment('THEAZO_API_KEY')
    if (!apiKey) {
      throw new ConfigurationError('No API key: pass { apiKey } to new Theazo(), or set THEAZO_API_KEY.', {
        code: 'configuration_error',
      })
    }
    if (/[^\x21-\x7e]/.test(apiKey)) {
      throw new ConfigurationError('The API key holds white space or a character that no header can carry.', {
        code: 'configuration_error',
      })
    }
    this.baseUrl = normalizeBaseUrl(options.baseUrl ?? environment('THEAZO_BASE_URL') ?? defaultBaseUrl)
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs
    this.#headers = {
      accept: 'application/json',
      'user-agent': options.userAgent ? `theazo-core ${options.userAgent}` : 'theazo-core',
      ...Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
      authorization: `Bearer ${apiKey}`,
    }
  }

  /**
   * Makes one request and answers its JSON body.
   *
   * @throws {TheazoError} a wire error's own class; `TimeoutError` at the deadline; `ConnectionError` without an answer.
   */
  async request<T>({ method, path, body, signal, timeoutMs = this.#timeoutMs }: TransportRequest): Promise<T> {
    signal?.throwIfAborted()
    const url = `${this.baseUrl}/${path.map(encodeURIComponent).join('/')}`
    const call = `${method} /${path.join('/')}`
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), timeoutMs)
    try {
      const response = await this.#fetch(url, {
        method,
        headers: body === undefined ? this.#headers : { ...this.#headers, 'content-type': 'application/json' },
        signal: signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal,
        redirect: 'manual', // a redirect would carry the key to another host
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      if (!response.ok) throw wireError(response, text)
      return parseAnswer<T>(response, text, call)
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (deadline.signal.aborted) {
        throw new TimeoutError(`${call} got no complete answer within ${timeoutMs} ms.`, { code: 'client_timeout' })
      }
      throw TheazoError.isInstance(error) ? error : connectionError(call, this.baseUrl, error)
    } finally {
      clearTimeout(timer)
    }
  }
}

function connectionError(call: string, baseUrl: string, cause: unknown): ConnectionError {
  // fetch says only "fetch failed"; the reason (ECONNREFUSED, ENOTFOUND, …) is in its cause.
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
  return new ConnectionError(`${call} did not reach ${baseUrl}: ${reason}`, { code: 'connection_error', cause })
}

function parseAnswer<T>(response: Response, text: string, call: string): T {
  try {
    // Outside data is trusted from here on: the contract is the server's to keep, and its own tests check it.
    return JSON.parse(text) as T
  } catch (cause) {
    throw new InvalidResponseError(
      `${call} answered ${response.status} with ${text === '' ? 'an empty body' : 'a body that is not JSON'}.`,
      { code: 'invalid_response', status: response.status, cause },
    )
  }
}

function normalizeBaseUrl(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new ConfigurationError(`baseUrl is not an http(s) URL: ${baseUrl}`, { code: 'configuration_error' })
  }
  const path = url.pathname.replace(/\/+$/, '')
  return `${url.origin}${path.endsWith('/v1') ? path : `${path}/v1`}`
}

/** Reads a variable where the runtime has an environment at all (an edge runtime may not). */
function environment(name: string): string | undefined {
  const runtime = globalThis as { process?: { env?: Record<string, string | undefined> } }
  return runtime.process?.env?.[name] || undefined
}
