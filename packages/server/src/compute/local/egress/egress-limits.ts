/** Limits of the network access of each sandbox. The server and the proxy process both apply them. */
export const egressLimits = {
  /** Connections of one sandbox at a time. */
  maxConnections: 128,
  /** Connections beyond these that get a 503; more are closed without an answer. */
  maxRefusedConnections: 32,
  /** For the headers of a request, and for the headers of an answer once it has begun. */
  headersTimeoutMs: 15_000,
  /** From the request to the connection, including the lookup. */
  connectTimeoutMs: 10_000,
  /** A connection without data for this time is closed. */
  idleMs: 300_000,
  /** After a refusal: how long a client may still send until the connection is closed. */
  lingerMs: 5_000,
  /** Length of an error that the proxy process reports. */
  maxReasonChars: 200,
} as const
