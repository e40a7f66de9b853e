/** An answer as a program in any language sees it. */
export interface Answer {
  status: number
  headers: Headers
  // Each test states what it expects of the body.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any
}

export interface CallerOptions {
  baseUrl: string
  apiKey: string
  /** Default: the platform's. A server in this process has its own. */
  fetch?: typeof globalThis.fetch
}

/** Sends plain requests with one key, without our client. `CheckedCaller` also checks every answer. */
export class ApiCaller {
  readonly url: string
  readonly key: string
  readonly #fetch: typeof globalThis.fetch

  constructor({ baseUrl, apiKey, fetch = globalThis.fetch }: CallerOptions) {
    this.url = baseUrl
    this.key = apiKey
    this.#fetch = fetch
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', path, undefined, { headers })
  }

  /** @param body sent as JSON; undefined sends no body. */
  post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('POST', path, JSON.stringify(body), { headers })
  }

  patch(path: string, body: unknown): Promise<Answer> {
    return this.send('PATCH', path, JSON.stringify(body))
  }

  /** @param body sent as it is. */
  async send(method: string, path: string, body?: string, init: RequestInit = {}): Promise<Answer> {
    return await answerOf(await this.open(path, { ...init, method, ...(body !== undefined && { body }) }))
  }

  /** The caller reads the body, e.g. of a stream. */
  open(path: string, init: RequestInit = {}): Promise<Response> {
    return this.#fetch(this.url + path, { ...init, headers: { authorization: `Bearer ${this.key}`, ...init.headers } })
  }
}

/** Reads the JSON body of a response. A stream is closed unread: its body is undefined. */
export async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response
  if (headers.get('content-type') !== 'text/event-stream') return { status, headers, body: await response.json() }
  await response.body?.cancel()
  return { status, headers, body: undefined }
}
