/** An answer as a program in any language sees it. */
export interface Answer {
  status: number
  headers: Headers
  // Each test says what it expects of the body.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any
}

/** Where a caller calls: a server in this process, or one with a port (then `fetch` is the platform's). */
export interface CallerOptions {
  baseUrl: string
  apiKey: string
  fetch?: typeof globalThis.fetch
}

/** Plain requests with one key, not our client. */
export class ApiCaller {
  readonly #options: CallerOptions

  constructor(options: CallerOptions) {
    this.#options = options
  }

  get(path: string): Promise<Answer> {
    return this.#send('GET', path)
  }

  post(path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send('POST', path, body, headers)
  }

  patch(path: string, body: unknown): Promise<Answer> {
    return this.#send('PATCH', path, body)
  }

  /** The body is left to whoever asks. */
  open(path: string, init: RequestInit = {}): Promise<Response> {
    const { baseUrl, apiKey, fetch = globalThis.fetch } = this.#options
    return fetch(baseUrl + path, { ...init, headers: { authorization: `Bearer ${apiKey}`, ...init.headers } })
  }

  async #send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
    const response = await this.open(path, init)
    return { status: response.status, headers: response.headers, body: await response.json() }
  }
}
