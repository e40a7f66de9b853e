import { BodyFault, connectionError, parseJson, readText, redirectError, requestIdOf } from './responses.ts'
import type { Attempt } from './attempt.ts'
import { type Clock, systemClock } from './clock.ts'
import { configurationError, NotFoundError, NotSupportedError, type TheazoError } from '../errors.ts'
import { Features } from './features.ts'
import { Redaction } from './redaction.ts'
import { backoffMs, maxRetryAfterMs, type RepeatSafety, type RetryCause, retryCause, retryMatrix } from './retry.ts'
import { assertTimeout, withinTime } from './lifetime.ts'
import { assertHeader, encodeSegment, jsonBody, queryString } from './request-parts.ts'
import type { CallOptions, RequestHooks, TransportOptions } from './transport-options.ts'
import { version } from './version.ts'
import type { Feature } from '../wire.ts'
import { wireFault } from './wire-error.ts'

/** One call of the API. */
export interface TransportRequest extends CallOptions {
  method: 'GET' | 'POST' | 'PATCH'
  /** Path segments below the base URL; each is encoded. */
  path: readonly string[]
  query?: Record<string, string | number | undefined>
  body?: unknown
  headers?: Record<string, string>
  /** True for a POST that the contract allows the client to send twice. */
  isRepeatable?: boolean
  /**
   * Extensions that the request needs, each with the name of the call for the error message. If one is absent, nothing
   * is sent.
   */
  needs?: readonly (readonly [Feature, string])[]
  /** The extension that adds this route. If it is absent, a 404 becomes a {@link NotSupportedError}. */
  feature?: Feature
}

/** Reads a 2xx response. */
type ReadResponse<T> = (response: Response, attempt: Attempt) => Promise<T>

const defaultBaseUrl = 'https://api.theazo.com/v1'
const defaultTimeoutMs = 30_000
const defaultMaxRetries = 2

/** A failed attempt. */
interface Fault {
  error: TheazoError
  cause: RetryCause
}

/** Makes every request of the client: deadline, retries, hooks and redaction of the API key. */
export class Transport {
  readonly baseUrl: string
  readonly features: Features = new Features((options) =>
    this.request({ method: 'GET', path: ['sessions'], query: { limit: 1 }, ...options }),
  )
  readonly clock: Clock
  // Private fields: neither JSON nor an inspector shows the API key.
  readonly #fetch: typeof globalThis.fetch
  readonly #headers: Record<string, string>
  readonly #timeoutMs: number
  readonly #maxRetries: number
  readonly #hooks: RequestHooks
  readonly #redaction: Redaction

  constructor(options: TransportOptions) {
    const apiKey = options.apiKey ?? environment('THEAZO_API_KEY')
    if (!apiKey) throw configurationError('No API key: pass { apiKey } to new Theazo(), or set THEAZO_API_KEY.')
    if (/[^\x21-\x7e]/.test(apiKey)) {
      throw configurationError('The API key has white space or a character that an HTTP header must not have.')
    }
    this.baseUrl = normalizeBaseUrl(options.baseUrl ?? environment('THEAZO_BASE_URL') ?? defaultBaseUrl)
    this.clock = options.clock ?? systemClock
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs
    assertTimeout(this.#timeoutMs)
    this.#maxRetries = options.maxRetries ?? defaultMaxRetries
    if (!(this.#maxRetries >= 0)) throw configurationError(`maxRetries must be at least 0, not ${this.#maxRetries}.`)
    this.#hooks = options.hooks ?? {}
    this.#redaction = new Redaction(apiKey)
    for (const [name, value] of Object.entries(options.headers ?? {})) assertHeader(name, value)
    if (options.userAgent !== undefined) assertHeader('user-agent', options.userAgent)
    this.#headers = {
      accept: 'application/json',
      'user-agent': `theazo-core/${version}${options.userAgent ? ` ${options.userAgent}` : ''}`,
      ...Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
      authorization: `Bearer ${apiKey}`,
    }
  }

  /** Removes the API key from a text of another origin. */
  readonly redact = (text: string): string => this.#redaction.ofText(text)

  /**
   * Makes one call and returns its JSON body. The deadline covers all attempts, the waits between them and the body.
   *
   * @throws {TheazoError} the class of the wire error; `TimeoutError` at the deadline; `ConnectionError` without a response.
   */
  request<T>(request: TransportRequest): Promise<T> {
    return this.call(request, async (response, attempt) => parseJson<T>(response, await readText(response), attempt))
  }

  /** Like {@link request}, but `read` reads the response, e.g. an event stream while it arrives. */
  async call<T>(request: TransportRequest, read: ReadResponse<T>): Promise<T> {
    const { method, path, timeoutMs = this.#timeoutMs } = request
    const call = `${method} /${path.map(String).join('/')}`
    const timeoutMessage = `${call} got no complete response within ${timeoutMs} ms.`
    return await withinTime({ signal: request.signal, timeoutMs, timeoutMessage }, async (signal) => {
      const attempt: Attempt = { call, signal, redact: this.redact, isFinal: false }
      const deadlineAt = this.clock.now() + timeoutMs
      for (const [feature, what] of request.needs ?? []) {
        if (!(await this.features.isSupported(feature, { signal }))) throw notSupported(what, feature)
      }
      return await this.#attempts(request, read, attempt, deadlineAt)
    })
  }

  async #attempts<T>(
    request: TransportRequest,
    read: ReadResponse<T>,
    attempt: Attempt,
    deadlineAt: number,
  ): Promise<T> {
    const { url, init } = this.#prepare(request, attempt.signal)
    let lastRefusal: TheazoError | undefined
    for (let number = 1; ; number += 1) {
      const startedAt = this.clock.now()
      this.#callHook('onRequest', () => ({
        ...this.#describe(request, url, number),
        headers: this.#redaction.of(init.headers),
      }))
      let hasResponse = false
      let fault: Fault
      try {
        const response = await this.#fetch(url, init)
        this.features.update(response)
        this.#callHook('onResponse', () => ({
          ...this.#describe(request, url, number),
          status: response.status,
          requestId: requestIdOf(response, this.redact),
          durationMs: this.clock.now() - startedAt,
        }))
        hasResponse = true
        if (response.ok) return await read(response, attempt)
        fault = await this.#refusal(response, request, attempt)
      } catch (error) {
        // Without a response, fetch threw: the connection failed. With a response, a BodyFault means that the connection
        // broke; any other error is from a callback of the caller, who gets it unchanged.
        if (attempt.signal.aborted || (hasResponse && !(error instanceof BodyFault))) throw error
        const failure = connectionError(attempt, this.baseUrl, error)
        fault = { error: failure, cause: retryCause(failure, false) }
      }
      const delayMs = this.#delayMs(fault, number, request, attempt, deadlineAt)
      // The last error may state only that there is no server, or that an earlier attempt was interrupted. The server's
      // last refusal then has more information for the caller.
      if (delayMs === undefined) throw lastRefusal && isLessInformative(fault.error) ? lastRefusal : fault.error
      if (fault.error.status !== undefined) lastRefusal = fault.error
      this.#callHook('onRetry', () => ({ ...this.#describe(request, url, number), delayMs, error: fault.error }))
      await this.clock.sleep(delayMs, attempt.signal)
    }
  }

  #prepare({ method, path, query, body, headers, idempotencyKey }: TransportRequest, signal: AbortSignal) {
    const url = `${this.baseUrl}/${path.map(encodeSegment).join('/')}${queryString(query)}`
    if (idempotencyKey !== undefined) assertHeader('idempotency-key', idempotencyKey)
    const all = { ...this.#headers, ...headers }
    if (body !== undefined) all['content-type'] = 'application/json'
    if (method === 'POST') all['idempotency-key'] = idempotencyKey ?? crypto.randomUUID()
    const init = {
      method,
      headers: all,
      signal,
      redirect: 'manual' as const, // a followed redirect would send the API key to another host
      ...(body !== undefined && { body: jsonBody(body) }),
    }
    return { url, init }
  }

  /** Reads a response that is not 2xx. */
  async #refusal(response: Response, { feature }: TransportRequest, attempt: Attempt): Promise<Fault> {
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      await response.body?.cancel()
      return { error: redirectError(response, attempt), cause: 'final' }
    }
    const body = await readText(response).catch((error: unknown) => {
      if (attempt.signal.aborted) throw error
      return '' // the status is enough for an error
    })
    const { error, hasEnvelope } = wireFault(response, body, attempt.redact)
    if (feature && NotFoundError.isInstance(error) && !this.features.has(feature)) {
      return { error: notSupported(attempt.call, feature, error), cause: 'final' }
    }
    return { error, cause: retryCause(error, hasEnvelope) }
  }

  /** How long to wait before the next attempt; undefined if no attempt follows. */
  #delayMs(
    { error, cause }: Fault,
    number: number,
    request: TransportRequest,
    attempt: Attempt,
    deadlineAt: number,
  ): number | undefined {
    if (attempt.isFinal || number > this.#maxRetries || !retryMatrix[cause][this.#safety(request)]) return undefined
    const delayMs = error.retryAfterMs ?? backoffMs(number - 1, this.clock.random())
    const isInTime = delayMs <= maxRetryAfterMs && this.clock.now() + delayMs < deadlineAt
    return isInTime ? delayMs : undefined
  }

  #safety({ method, isRepeatable }: TransportRequest): RepeatSafety {
    if (method === 'GET' || isRepeatable) return 'safe'
    return method === 'POST' && this.features.has('idempotency') ? 'keyed' : 'unsafe'
  }

  #describe({ method }: TransportRequest, url: string, attempt: number) {
    return { method, url, attempt }
  }

  /** Hooks only observe: an error of a hook must not cost the caller a response that has arrived. */
  #callHook<Name extends keyof RequestHooks>(
    name: Name,
    event: () => Parameters<NonNullable<RequestHooks[Name]>>[0],
  ): void {
    const hook = this.#hooks[name] as ((event: unknown) => unknown) | undefined // the compiler cannot match the hook with its event
    if (!hook) return
    try {
      const pending = hook(event())
      if (pending instanceof Promise) pending.catch(() => {})
    } catch {
      // ignored, as RequestHooks documents
    }
  }
}

/** The error for a call that needs an absent extension. */
function notSupported(call: string, feature: Feature, cause?: TheazoError): NotSupportedError {
  return new NotSupportedError(`${call} needs the extension '${feature}', which this server does not have.`, {
    code: 'not_supported',
    status: cause?.status,
    requestId: cause?.requestId,
    details: { feature },
    cause,
  })
}

function normalizeBaseUrl(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw configurationError(`baseUrl must be an http or https URL, not ${JSON.stringify(baseUrl)}.`)
  }
  const path = url.pathname.replace(/\/+$/, '')
  return `${url.origin}${path.endsWith('/v1') ? path : `${path}/v1`}`
}

/** Reads an environment variable. Some edge runtimes have no environment. */
function environment(name: string): string | undefined {
  const runtime = globalThis as { process?: { env?: Record<string, string | undefined> } }
  return runtime.process?.env?.[name] || undefined
}

function isLessInformative({ code, details }: TheazoError): boolean {
  return code === 'connection_error' || (code === 'conflict' && details?.['reason'] === 'interrupted')
}
