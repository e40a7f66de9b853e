import { BodyFault, connectionError, parseJson, readText, redirectError, requestIdOf } from './answers.ts'
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

/** One call, as the resources of the client make it. */
export interface TransportRequest extends CallOptions {
  method: 'GET' | 'POST' | 'PATCH'
  /** Path segments below the base URL; each is encoded. */
  path: readonly string[]
  query?: Record<string, string | number | undefined>
  body?: unknown
  headers?: Record<string, string>
  /** A POST that may be done twice by its contract. */
  isRepeatable?: boolean
  /** Extensions that what is sent needs, and how to say so: nothing is sent where one is absent. */
  needs?: readonly (readonly [Feature, string])[]
  /** The extension whose route this is: a 404 where it is absent is {@link NotSupportedError}. */
  feature?: Feature
}

/** Reads an answer that is 2xx. */
type ReadAnswer<T> = (response: Response, attempt: Attempt) => Promise<T>

const defaultBaseUrl = 'https://api.theazo.com/v1'
const defaultTimeoutMs = 30_000
const defaultMaxRetries = 2

/** The one place where a request is made. */
export class Transport {
  readonly baseUrl: string
  readonly features: Features = new Features((options) =>
    this.request({ method: 'GET', path: ['sessions'], query: { limit: 1 }, ...options }),
  )
  readonly clock: Clock
  // Private fields: neither JSON nor an inspector shows what holds the key.
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
      throw configurationError('The API key holds white space or a character that no header can carry.')
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

  /** Takes the key out of a text that somebody else has written. */
  readonly redact = (text: string): string => this.#redaction.ofText(text)

  /**
   * Makes one call and answers its JSON body. Its deadline covers every attempt, the waits between them and the body.
   *
   * @throws {TheazoError} a wire error's own class; `TimeoutError` at the deadline; `ConnectionError` without an answer.
   */
  request<T>(request: TransportRequest): Promise<T> {
    return this.call(request, async (response, attempt) => parseJson<T>(response, await readText(response), attempt))
  }

  /** The same with the answer read by `read`: an event stream is read while it comes. */
  async call<T>(request: TransportRequest, read: ReadAnswer<T>): Promise<T> {
    const { method, path, timeoutMs = this.#timeoutMs } = request
    const call = `${method} /${path.map(String).join('/')}`
    const late = `${call} got no complete answer within ${timeoutMs} ms.`
    return await withinTime({ signal: request.signal, timeoutMs, late }, async (signal) => {
      const attempt: Attempt = { call, signal, redact: this.redact, isFinal: false }
      const deadlineAt = this.clock.now() + timeoutMs
      for (const [feature, what] of request.needs ?? []) {
        if (!(await this.features.known(feature, { signal }))) throw notSupported(what, feature)
      }
      return await this.#attempts(request, read, attempt, deadlineAt)
    })
  }

  async #attempts<T>(request: TransportRequest, read: ReadAnswer<T>, attempt: Attempt, deadlineAt: number): Promise<T> {
    const { url, init } = this.#prepare(request, attempt.signal)
    let told: TheazoError | undefined
    for (let number = 1; ; number += 1) {
      const startedAt = this.clock.now()
      this.#tell('onRequest', () => ({
        ...this.#describe(request, url, number),
        headers: this.#redaction.of(init.headers),
      }))
      let isAnswered = false
      let fault: { error: TheazoError; cause: RetryCause }
      try {
        const response = await this.#fetch(url, init)
        this.features.learn(response)
        this.#tell('onResponse', () => ({
          ...this.#describe(request, url, number),
          status: response.status,
          requestId: requestIdOf(response, this.redact),
          durationMs: this.clock.now() - startedAt,
        }))
        isAnswered = true
        if (response.ok) return await read(response, attempt)
        fault = await this.#refusal(response, request, attempt)
      } catch (error) {
        // Before an answer it is fetch that has thrown, whatever that is. Then only the body can break off; what else is
        // thrown is a callback's own, and passes.
        if (attempt.signal.aborted || (isAnswered && !(error instanceof BodyFault))) throw error
        const lost = connectionError(attempt, this.baseUrl, error)
        fault = { error: lost, cause: retryCause(lost, false) }
      }
      const delayMs = this.#delayMs(fault, number, request, attempt, deadlineAt)
      // Report the first answer, not that the retry was refused or found no server: the work may have been done.
      if (delayMs === undefined) throw told && saysLess(fault.error) ? told : fault.error
      if (fault.error.status !== undefined) told = fault.error
      this.#tell('onRetry', () => ({ ...this.#describe(request, url, number), delayMs, error: fault.error }))
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
      redirect: 'manual' as const, // a redirect would carry the key to another host
      ...(body !== undefined && { body: jsonBody(body) }),
    }
    return { url, init }
  }

  /** An answer that is not 2xx. */
  async #refusal(
    response: Response,
    { feature }: TransportRequest,
    attempt: Attempt,
  ): Promise<{ error: TheazoError; cause: RetryCause }> {
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      await response.body?.cancel()
      return { error: redirectError(response, attempt), cause: 'final' }
    }
    const body = await readText(response).catch((error: unknown) => {
      if (attempt.signal.aborted) throw error
      return '' // its status tells enough
    })
    const { error, hasEnvelope } = wireFault(response, body, attempt.redact)
    if (feature && NotFoundError.isInstance(error) && !this.features.has(feature)) {
      return { error: notSupported(attempt.call, feature, error), cause: 'final' }
    }
    return { error, cause: retryCause(error, hasEnvelope) }
  }

  /** How long to wait before the next attempt; undefined where there is none. */
  #delayMs(
    { error, cause }: { error: TheazoError; cause: RetryCause },
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

  /** A hook watches: what it throws must not cost the caller an answer that the server has given. */
  #tell<Name extends keyof RequestHooks>(
    name: Name,
    event: () => Parameters<NonNullable<RequestHooks[Name]>>[0],
  ): void {
    const hook = this.#hooks[name] as ((event: unknown) => unknown) | undefined // one of a union, called with its own event
    if (!hook) return
    try {
      const pending = hook(event())
      if (pending instanceof Promise) pending.catch(() => {})
    } catch {
      // documented on RequestHooks
    }
  }
}

/** The server lacks what a call needs. */
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
    throw configurationError(`baseUrl is not an http(s) URL: ${baseUrl}`)
  }
  const path = url.pathname.replace(/\/+$/, '')
  return `${url.origin}${path.endsWith('/v1') ? path : `${path}/v1`}`
}

/** Reads a variable where the runtime has an environment at all (an edge runtime may not). */
function environment(name: string): string | undefined {
  const runtime = globalThis as { process?: { env?: Record<string, string | undefined> } }
  return runtime.process?.env?.[name] || undefined
}

function saysLess({ code, details }: TheazoError): boolean {
  return code === 'connection_error' || (code === 'conflict' && details?.['reason'] === 'interrupted')
}
