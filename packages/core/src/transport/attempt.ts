/** One attempt of a call, for the code that reads its response. */
export interface Attempt {
  /** Method and path, for messages. */
  readonly call: string
  /** Fires at the deadline and at the caller's abort. */
  readonly signal: AbortSignal
  /** Removes the API key from a text: a server may send it back. */
  readonly redact: (text: string) => string
  /** Set when a part of the response has reached the caller. The call is then not retried. */
  isFinal: boolean
}
