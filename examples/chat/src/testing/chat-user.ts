import type { ChatSnapshot } from '../protocol.ts'

/** A user of the API, with a cookie and a chat. */
export class ChatUser {
  readonly url: string
  readonly chatId: string
  readonly #headers: Record<string, string>

  private constructor(url: string, chatId: string, headers: Record<string, string>) {
    this.url = url
    this.chatId = chatId
    this.#headers = headers
  }

  static async open(url: string): Promise<ChatUser> {
    const page = await fetch(url)
    const cookie = page.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    const headers = { cookie, origin: url, 'content-type': 'application/json' }
    const response = await fetch(`${url}/api/chats`, { method: 'POST', headers })
    const { id } = (await response.json()) as { id: string }
    return new ChatUser(url, id, headers)
  }

  /** The user id in the cookie. */
  get userId(): string {
    return this.#headers['cookie']?.split('=')[1] ?? ''
  }

  get(path: string): Promise<Response> {
    return fetch(this.url + path, { headers: this.#headers })
  }

  /** Sends a body as it is if it is a string, else as JSON. */
  post(path: string, body: unknown = {}, { signal }: { signal?: AbortSignal } = {}): Promise<Response> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return fetch(this.url + path, { method: 'POST', headers: this.#headers, body: text, ...(signal && { signal }) })
  }

  /** Asks for an answer, by default to a message. */
  async ask(text: string, options: { signal?: AbortSignal } = {}): Promise<AnswerReader> {
    return new AnswerReader(await this.post('/api/chat', this.message(text), options))
  }

  async decide(approvals: readonly { id: string; approved: boolean }[]): Promise<AnswerReader> {
    return new AnswerReader(await this.post('/api/chat', { ...this.#start(), type: 'approvals', approvals }))
  }

  async retry(): Promise<AnswerReader> {
    return new AnswerReader(await this.post('/api/chat', { ...this.#start(), type: 'retry' }))
  }

  message(text: string): Record<string, unknown> {
    return { ...this.#start(), type: 'message', messageId: crypto.randomUUID(), text }
  }

  async snapshot(): Promise<ChatSnapshot> {
    const response = await this.get(`/api/chat/${this.chatId}`)
    return (await response.json()) as ChatSnapshot
  }

  /** Reads an answer from its start, as a reloaded page does. */
  async stream(answerId: string | undefined): Promise<AnswerReader> {
    return new AnswerReader(await this.get(`/api/chat/${this.chatId}/stream?answer=${answerId}`))
  }

  #start(): { chatId: string; answerId: string } {
    return { chatId: this.chatId, answerId: crypto.randomUUID() }
  }
}

/** The stream of an answer as text. */
export class AnswerReader {
  readonly status: number
  readonly #chunks: AsyncIterator<string> | undefined
  #text = ''

  constructor({ status, body }: Response) {
    this.status = status
    this.#chunks = body?.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]()
  }

  /** Reads until the stream contains this text; returns all that was read. */
  async until(wanted: string): Promise<string> {
    while (!this.#text.includes(wanted)) {
      const next = await this.#chunks?.next()
      if (!next || next.done) throw new Error(`the stream has ended without ${wanted}: ${this.#text}`)
      this.#text += next.value
    }
    return this.#text
  }

  /** Reads to the end. */
  async rest(): Promise<string> {
    for (let next = await this.#chunks?.next(); next && !next.done; next = await this.#chunks?.next()) {
      this.#text += next.value
    }
    return this.#text
  }

  /** Reads to the end, and returns what the model has written. */
  async written(): Promise<string> {
    const deltas = Array.from((await this.rest()).matchAll(/"delta":("(?:[^"\\]|\\.)*")/g), ([, delta = '""']) => delta)
    return deltas.map((delta) => JSON.parse(delta) as string).join('')
  }
}
