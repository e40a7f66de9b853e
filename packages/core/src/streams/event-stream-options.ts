/** Options of {@link Agent.stream}, and the stream options of runs. */
export interface EventStreamOptions {
  /** Ends the stream with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Starts with the events after this one, on a server with the extension `replay`. Default: the stream starts now. */
  lastEventId?: string | undefined
  /** Milliseconds after which the whole stream ends with a `TimeoutError`. Default: none. */
  timeoutMs?: number | undefined
  /** Deadline of one connection attempt in milliseconds. Default: the client's `timeoutMs`. */
  connectTimeoutMs?: number | undefined
  /**
   * Milliseconds without a byte after which the client reconnects. Default: 300,000; after the first heartbeat on a
   * connection 45,000, the time of three heartbeats.
   */
  idleTimeoutMs?: number | undefined
  /** Consecutive connections without an event after which the stream ends with a `StreamError`. Default 8. */
  maxReconnects?: number | undefined
}

/** The additional option of a run's stream. */
export interface FollowOptions extends EventStreamOptions {
  /**
   * The last event id to send after a connection is lost before its first event, on a server that replays. Default: none;
   * the stream starts with new events.
   */
  startEventId?: string | undefined
}
