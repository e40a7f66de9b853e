/** Limits of each sandbox's way out; the server and the proxy's process both apply them. */
export const egressLimits = {
  /** Connections of one sandbox at a time. */
  maxConnections: 128,
  /** Connections beyond these that get a 503; more are closed without an answer. */
  maxRefusedConnections: 32,
  /** For the headers of a request, and for the headers of an answer once it has begun. */
  headersTimeoutMs: 15_000,
  /** From the request to the connection, the lookup included. */
  connectTimeoutMs: 10_000,
  /** A connection on which nothing moves for so long is closed. */
  idleMs: 300_000,
  /** After a refusal: for a client that still sends, until the connection is closed. */
  lingerMs: 5_000,
  /** Of an error that the proxy's process reports. */
  maxReasonChars: 200,
} as const
