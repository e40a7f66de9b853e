/**
 * Scopes of a key; each includes those before it. `read` allows every GET, `exec` also creating sessions and every POST on
 * agents, `admin` also changing and terminating sessions.
 */
export const scopes = ['read', 'exec', 'admin'] as const

/** Name of a scope. */
export type Scope = (typeof scopes)[number]

/** True if one of the key's scopes includes the required scope. */
export function covers(granted: readonly Scope[], required: Scope): boolean {
  return granted.some((scope) => scopes.indexOf(scope) >= scopes.indexOf(required))
}
