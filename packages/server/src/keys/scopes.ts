/**
 * What a key may do, each with what is before it: `read` every GET; `exec` also creates sessions and POSTs on agents;
 * `admin` also changes and ends sessions.
 */
export const scopes = ['read', 'exec', 'admin'] as const

/** The name of one. */
export type Scope = (typeof scopes)[number]

/** True where one of the key's scopes covers it. */
export function covers(held: readonly Scope[], needed: Scope): boolean {
  return held.some((scope) => scopes.indexOf(scope) >= scopes.indexOf(needed))
}
