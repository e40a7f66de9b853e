import type { Transport } from '../transport/transport.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import type { OkBody, Task } from '../wire.ts'

/** The tasks of one agent's own model loop. They need the extension `tasks`. */
export class AgentTasks {
  readonly #transport: Transport
  readonly #agentId: string

  constructor(transport: Transport, agentId: string) {
    this.#transport = transport
    this.#agentId = agentId
  }

  /**
   * Reads one task.
   *
   * @throws {NotFoundError} if the agent has no such task; `NotSupportedError` without the extension `tasks`.
   * @example
   * ```ts
   * const { status, cost } = await agent.tasks.get(await run.taskId)
   * ```
   */
  get(taskId: string, options: CallOptions = {}): Promise<Task> {
    const path = ['agents', this.#agentId, 'tasks', taskId]
    return this.#transport.request({ method: 'GET', path, feature: 'tasks', ...options })
  }

  /**
   * Cancels a task. Its run ends with the code `cancelled`.
   *
   * @throws {NotFoundError} if the agent has no such task; `NotSupportedError` without the extension `tasks`.
   * @example
   * ```ts
   * await agent.tasks.cancel(await run.taskId)
   * ```
   */
  async cancel(taskId: string, options: CallOptions = {}): Promise<void> {
    const path = ['agents', this.#agentId, 'tasks', taskId, 'cancel']
    await this.#transport.request<OkBody>({ method: 'POST', path, feature: 'tasks', ...options })
  }
}
