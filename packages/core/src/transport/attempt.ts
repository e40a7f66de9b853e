/** One attempt of a call, as the code that reads its answer sees it. */
export interface Attempt {
  /** Method and path, for messages. */
  readonly call: string
  /** Fires at the deadline and at the caller's abort. */
  readonly signal: AbortSignal
  /** Takes the key out of a text: a server may send back what it was sent. */
  readonly redact: (text: string) => string
  /** Set once a part of the answer has reached the caller: the call is then not retried. */
  isFinal: boolean
}
