/** How an agent's events are followed. */
export interface EventStreamOptions {
  /** Ends the stream with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Replays what came after this event, on a server with the extension `replay`. Default: the stream starts now. */
  lastEventId?: string | undefined
  /** Milliseconds until the whole stream ends with a `TimeoutError`. Default: none. */
  timeoutMs?: number | undefined
  /** Milliseconds that one attempt to connect may take. Default: the client's `timeoutMs`. */
  connectTimeoutMs?: number | undefined
  /**
   * Milliseconds without a byte after which a connection is taken for dead and made anew. Default: 45,000 (three of the
   * server's heartbeats) once a heartbeat has been seen on it, 300,000 before.
   */
  idleTimeoutMs?: number | undefined
  /** Connections in a row that bring nothing until the stream is lost for good. Default 8. */
  maxReconnects?: number | undefined
}

/** What a run adds. */
export interface FollowOptions extends EventStreamOptions {
  /** Where a stream goes on that was cut before its first event, on a server that replays. Default: it starts anew. */
  startEventId?: string | undefined
}
