/** The reason why a run ended without an answer (its last event, or the error of its stream), or why a tool call failed. */
export interface RunFailure {
  /** A code of the API, such as `timeout`, or of `TheazoError`. Of a call of the remote agent: `tool_error`. */
  code: string
  /** For logs: it may name hosts and paths. Of a call: the result that the remote agent received, as text. */
  message: string
  /** The tool of a failed call. */
  tool?: string
}

/** A text for the user, who cannot act on the message of a server. */
export function failureText({ code }: RunFailure): string {
  return texts[code] ?? 'The task failed.'
}

const texts: Record<string, string> = {
  tool_error: 'The call failed.',
  session_limit_exceeded: 'A limit of this account is reached.',
  rate_limited: 'There are too many requests. Try again later.',
  timeout: 'The task took too long and was stopped.',
  client_timeout: 'The task took too long.',
  terminated: 'The sandbox of the task was ended.',
  conflict: 'The sandbox is busy or has ended.',
  connection_error: 'The connection to the task was lost.',
  stream_error: 'The connection to the task was lost.',
}
