import { join } from 'node:path'
import type { Logger } from 'pino'
import { type HostPattern, patternsOf } from '../../../network/host-pattern.ts'
import type { HostUser } from '../host-uid.ts'
import type { AgentNetwork } from '../agent-network.ts'
import { egressLog } from './egress-log.ts'
import type { EgressRecord } from './egress-record.ts'
import { EgressSocket } from './egress-socket.ts'
import { ProxyProcess } from './proxy-process.ts'

/** Options of the network access of all sandboxes of a server. */
export interface EgressOptions {
  /** The folder of the sockets; the users of sandboxes must be able to traverse to it. */
  folderPath: string
  /** A folder for the server only. */
  scratchPath: string
  /** The hosts that the operator allows, whatever an agent's own list allows. */
  operator: readonly HostPattern[]
  log: Logger
  /** Called for each connection when it has ended. */
  onEnd: (record: EgressRecord) => void
  /** Called each time the proxy process has ended by itself. */
  onLost: () => void
}

/** The socket that gives a sandbox its network access. */
export interface OpenEgress extends AsyncDisposable {
  /** Path of the socket on the host. */
  path: string
}

/** The network access of sandboxes: a socket for each, and one process with the proxies behind them. */
export class Egress implements AsyncDisposable {
  readonly #options: EgressOptions
  readonly #process: ProxyProcess
  #lastNumber = 0

  constructor(options: EgressOptions) {
    this.#options = options
    const { scratchPath, operator, log, onLost } = options
    this.#process = new ProxyProcess({ folderPath: join(scratchPath, 'egress'), operator, log, onLost })
  }

  /**
   * Opens the socket of a sandbox. Only the user of the sandbox can connect to it.
   *
   * @param name of the socket; must be new.
   */
  async open(name: string, { agentId, allow }: AgentNetwork, user: HostUser): Promise<OpenEgress> {
    const number = (this.#lastNumber += 1)
    const path = join(this.#options.folderPath, name)
    const log = egressLog(this.#options.log, agentId)
    const onEnd = (record: EgressRecord): void => {
      this.#options.onEnd(record)
      log(record)
    }
    const connect = (signal: AbortSignal) => this.#process.connect(number, signal)
    const socket = new EgressSocket({ path, user, connect, onEnd })
    const close = async (): Promise<void> => {
      await socket[Symbol.asyncDispose]()
      await this.#process.close(number)
    }
    this.#process.open(number, patternsOf(allow), onEnd)
    try {
      await socket.listen()
    } catch (error) {
      await close()
      throw error
    }
    return { path, [Symbol.asyncDispose]: close }
  }

  /** Ends the proxy process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}
