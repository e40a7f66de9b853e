/**
 * One live sandbox for each user, chat thread or session.
 *
 * @module
 */
export { SandboxPool, type PooledSandbox } from './sandbox-pool.ts'
export type { SandboxPoolOptions } from './sandbox-pool-options.ts'
