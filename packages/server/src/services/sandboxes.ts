import type { ComputeProvider, NetworkPolicy, Sandbox } from '../compute/compute-provider.ts'
import type { AgentRow, Mode } from '../store/tables.ts'

/** What is to be known of an agent to find its sandbox. */
export type SandboxOwner = Pick<AgentRow, 'id' | 'network'> & { mode: Mode; project: string }

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

  /** The sandbox of an agent; undefined where it is gone. */
  async attach({ id, mode, project, network }: SandboxOwner): Promise<Sandbox | undefined> {
    return await this.of(mode).attach({ id, project, network: networkOf(network) })
  }

  /** Makes it. @throws {SandboxStartError} where it cannot be had. */
  async create({ id, mode, project, network }: SandboxOwner): Promise<Sandbox> {
    return await this.of(mode).create({ id, project, network: networkOf(network) })
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

/** With nothing to reach, a sandbox needs no way out. */
function networkOf(stored: string | null): NetworkPolicy | undefined {
  const network = stored === null ? undefined : (JSON.parse(stored) as NetworkPolicy) // checked when it came in
  return network && network.allow.length > 0 ? network : undefined
}
