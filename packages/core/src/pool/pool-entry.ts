import type { PoolAgent } from './sandbox-lifecycle.ts'

/** The sandbox of one key. */
export interface PoolEntry {
  key: string
  ready: Promise<PoolAgent>
  /** The number of current calls that use the sandbox. */
  leases: number
  /** True if a call has used the sandbox: a model then gets a notice about its loss. */
  isUsed: boolean
  timer?: ReturnType<typeof setTimeout>
}
