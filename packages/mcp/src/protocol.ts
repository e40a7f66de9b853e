/**
 * The versions of the protocol that a server speaks. `2025-11-25` stands for the versions up to this one, whose clients
 * send `initialize`; in `2026-07-28` each request names its version. `auto`: what the client asks for.
 */
export type Protocol = 'auto' | '2025-11-25' | '2026-07-28'

/** All values of {@link Protocol}; the first is the default. */
export const protocols: readonly Protocol[] = ['auto', '2025-11-25', '2026-07-28']

const versionKey = 'io.modelcontextprotocol/protocolVersion'

/** True for a message that names its own version, as all requests of protocol 2026-07-28 do. */
export function namesVersion(message: unknown): boolean {
  const { params } = (message ?? {}) as { params?: { _meta?: unknown } }
  const meta = typeof params === 'object' && params !== null ? params._meta : undefined
  return typeof meta === 'object' && meta !== null && versionKey in meta
}
