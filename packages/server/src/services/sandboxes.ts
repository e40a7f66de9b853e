import type { ComputeProvider, NetworkPolicy, Sandbox } from '../compute/compute-provider.ts'
import type { AgentRow, Mode } from '../store/tables.ts'

/** The fields of an agent that identify its sandbox. */
export type SandboxOwner = Pick<AgentRow, 'id' | 'network'> & { mode: Mode; project: string }

/** The compute providers of live and test mode, and the sandboxes that boot. */
export class Sandboxes {
  readonly #providers: Record<Mode, ComputeProvider>
  readonly #booting = new Map<string, Promise<void>>()

  constructor(providers: Record<Mode, ComputeProvider>) {
    this.#providers = providers
  }

  of(mode: Mode): ComputeProvider {
    return this.#providers[mode]
  }

  /** The sandbox of an agent; undefined if it is gone. */
  async attach({ id, mode, project, network }: SandboxOwner): Promise<Sandbox | undefined> {
    return await this.of(mode).attach({ id, project, network: networkOf(network) })
  }

  /** Creates the sandbox of an agent. @throws {SandboxStartError} if it cannot be created. */
  async create({ id, mode, project, network }: SandboxOwner): Promise<Sandbox> {
    return await this.of(mode).create({ id, project, network: networkOf(network) })
  }

  /** Runs the boot of an agent. {@link ready} waits for it. */
  async boot(agentId: string, work: () => Promise<void>): Promise<void> {
    const boot = work().finally(() => this.#booting.delete(agentId))
    this.#booting.set(agentId, boot)
    await boot
  }

  /** Waits until the agent's boot has ended. A failure is visible in the agent's status. */
  async ready(agentId: string): Promise<void> {
    await this.#booting.get(agentId)?.catch(() => {})
  }
}

/** The network policy of an agent; undefined if it allows no host: the sandbox then needs no egress. */
function networkOf(stored: string | null): NetworkPolicy | undefined {
  const network = stored === null ? undefined : (JSON.parse(stored) as NetworkPolicy) // validated when it was stored
  return network && network.allow.length > 0 ? network : undefined
}
