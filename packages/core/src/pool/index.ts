/**
 * One live sandbox for each user, chat thread or session.
 *
 * @module
 */
export { PooledSandbox } from './pooled-sandbox.ts'
export { SandboxPool } from './sandbox-pool.ts'
export type { SandboxPoolOptions } from './sandbox-pool-options.ts'
