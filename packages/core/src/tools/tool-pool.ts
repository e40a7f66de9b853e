import { Agents } from '../agents.ts'
import { SandboxPool } from '../pool/sandbox-pool.ts'
import type { SandboxPoolOptions } from '../pool/sandbox-pool-options.ts'
import { Session, Sessions } from '../sessions.ts'
import type { Transport } from '../transport/transport.ts'

/** What the tools of an adapter do with the sandboxes that they have created. */
export type OnDispose = NonNullable<SandboxPoolOptions['onRelease']>

/** The name of the one sandbox per session that all processes share. */
const sandboxName = 'tools'
/** Milliseconds after the last use until a sandbox ends: by the pool, unless it leaves its sandboxes, and by the server. */
const idleTtlMs = 1_800_000

const pools = new WeakMap<Transport, SandboxPool>()

/**
 * The default pool of a client. All tool sets share it, because a web route creates a tool set for each request.
 * Another process may use the same sandbox by its name, so the pool never terminates it. The server terminates it when
 * it is idle.
 */
export function sharedPool(transport: Transport): SandboxPool {
  const existing = pools.get(transport)
  if (existing) return existing
  const pool = toolPool(transport, 'leave')
  pools.set(transport, pool)
  return pool
}

/** A pool whose keys are those of {@link keyOfUser} and {@link keyOfSession}. */
export function toolPool(transport: Transport, onRelease: OnDispose): SandboxPool {
  const sessions = new Sessions(transport)
  const options: SandboxPoolOptions = {
    maxSize: Number.POSITIVE_INFINITY, // entries are small and are removed when idle; sessions limit their sandboxes
    onRelease,
    ...(onRelease !== 'leave' && { idleTtlMs }),
    idleTimeoutSeconds: idleTtlMs / 1000,
    async nameOf(key) {
      const { name } = parsed(key)
      if (!(await transport.features.isSupported('agents', {}))) return undefined
      return name === undefined ? sandboxName : `${sandboxName}:${name}`
    },
    async sessionOf(key) {
      const { kind, id } = parsed(key)
      return kind === 'user' ? await sessions.forUser(id) : new Session(transport, id)
    },
  }
  return new SandboxPool({ sessions, agents: new Agents(transport) }, options)
}

interface Key {
  kind: 'user' | 'session'
  id: string
  name?: string | undefined
}

/** The key of a user's sandbox. @param name undefined for the user's one sandbox. */
export function keyOfUser(id: string, name: string | undefined): string {
  return JSON.stringify({ kind: 'user', id, name } satisfies Key)
}

/** The key of the one sandbox of a session. */
export function keyOfSession(id: string): string {
  return JSON.stringify({ kind: 'session', id } satisfies Key)
}

function parsed(key: string): Key {
  return JSON.parse(key) as Key // only the two functions above write keys
}
