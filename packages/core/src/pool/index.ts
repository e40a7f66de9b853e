/**
 * A pool that provides one live sandbox for each user, chat thread or session.
 *
 * @module
 */
export { createIdleAgent } from './sandbox-lifecycle.ts'
export { PooledSandbox } from './pooled-sandbox.ts'
export { SandboxPool } from './sandbox-pool.ts'
export type { SandboxPoolOptions } from './sandbox-pool-options.ts'
