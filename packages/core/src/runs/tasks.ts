import type { Transport } from '../transport/transport.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import type { OkBody, Task } from '../wire.ts'

/** The tasks of one agent. They need the extension `tasks`. */
export class AgentTasks {
  readonly #transport: Transport
  readonly #agentId: string

  constructor(transport: Transport, agentId: string) {
    this.#transport = transport
    this.#agentId = agentId
  }

  /** @throws {NotFoundError} where the agent has no such task. */
  get(taskId: string, options: CallOptions = {}): Promise<Task> {
    const path = ['agents', this.#agentId, 'tasks', taskId]
    return this.#transport.request({ method: 'GET', path, feature: 'tasks', ...options })
  }

  /** Cancels a task; its run ends with the code `cancelled`. */
  async cancel(taskId: string, options: CallOptions = {}): Promise<void> {
    const path = ['agents', this.#agentId, 'tasks', taskId, 'cancel']
    await this.#transport.request<OkBody>({ method: 'POST', path, feature: 'tasks', ...options })
  }
}
