import type { ComputeProvider } from '../compute/compute-provider.ts'
import type { Mode } from '../store/tables.ts'

/** Where the sandboxes of each mode run, and which are being made. */
export class Sandboxes {
  readonly #providers: Record<Mode, ComputeProvider>
  readonly #booting = new Map<string, Promise<void>>()

  constructor(providers: Record<Mode, ComputeProvider>) {
    this.#providers = providers
  }

  of(mode: Mode): ComputeProvider {
    return this.#providers[mode]
  }

  /** Whoever wants to use the agent's sandbox waits until this has ended. */
  async boot(agentId: string, work: () => Promise<void>): Promise<void> {
    const boot = work().finally(() => this.#booting.delete(agentId))
    this.#booting.set(agentId, boot)
    await boot
  }

  /** Waits for a sandbox that is being made; that it failed is then seen at its agent. */
  async ready(agentId: string): Promise<void> {
    await this.#booting.get(agentId)?.catch(() => {})
  }
}
