import { chmod, chown, mkdir, open, rm } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type HostPattern, patternsOf } from '../../../network/host-pattern.ts'
import type { HostUser } from '../host-uid.ts'
import type { AgentNetwork } from '../local-sandbox.ts'
import { EgressProxy, type EgressRecord } from './egress-proxy.ts'
import { sparing, systemLookup, type Lookup } from './vetted-addresses.ts'

/** The way out of all sandboxes of a server. */
export interface EgressOptions {
  /** Sockets are kept here; sandboxes' users must be able to traverse to it. */
  folderPath: string
  /** What agents may be let reach at all. */
  operator: readonly HostPattern[]
  log: Logger
  /** Is told of each connection when it has ended. */
  onEnd: (record: EgressRecord) => void
  /** Default: as the machine resolves names. */
  lookup?: Lookup | undefined
}

/** A proxy that a sandbox can be given. */
export interface OpenEgress extends AsyncDisposable {
  /** Of its socket, on the host. */
  path: string
}

const limits = { maxConnections: 128, headersTimeoutMs: 15_000, connectTimeoutMs: 10_000, idleMs: 300_000 }

/** Opens the proxies through which sandboxes reach what they may. */
export class Egress {
  readonly #options: EgressOptions

  constructor(options: EgressOptions) {
    this.#options = options
  }

  /**
   * Opens one for a sandbox. Its socket is of the sandbox's user, who alone can connect.
   *
   * @param name that no other has had.
   */
  async open(name: string, { agentId, allow }: AgentNetwork, user: HostUser): Promise<OpenEgress> {
    const { folderPath, operator, lookup = systemLookup } = this.#options
    const log = sparingLog(this.#options.log, agentId)
    const proxy = new EgressProxy({
      ...limits,
      rules: { allow: patternsOf(allow), operator },
      lookup: sparing(lookup),
      onEnd: (record) => {
        this.#options.onEnd(record)
        log(record)
      },
    })
    await mkdir(folderPath, { recursive: true })
    await chmod(folderPath, 0o711)
    const path = join(folderPath, name)
    // A socket's path has 107 characters at most (unix(7)), and a data folder's may be longer.
    const folder = await open(folderPath, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await proxy.listen(`/proc/self/fd/${folder.fd}/${name}`)
      await chmod(path, 0o600)
      if (process.getuid?.() === 0) await chown(path, user.uid, user.gid)
    } catch (error) {
      await proxy[Symbol.asyncDispose]()
      throw error
    } finally {
      await folder.close()
    }
    return {
      path,
      async [Symbol.asyncDispose]() {
        await proxy[Symbol.asyncDispose]()
        await rm(path, { force: true })
      },
    }
  }
}

/** Lines an agent may have in a while: code that is refused in a loop must not fill the operator's disk. */
const [maxLines, lineWindowMs] = [200, 10_000]

/** Says how many lines it has left out when it goes on. */
function sparingLog(log: Logger, agentId: string): (record: EgressRecord) => void {
  let [windowEndsAt, lines, leftOut] = [0, 0, 0]
  return ({ target, ...told }) => {
    const now = performance.now()
    if (now >= windowEndsAt) [windowEndsAt, lines] = [now + lineWindowMs, 0]
    lines += 1
    if (lines > maxLines) {
      leftOut += 1
      return
    }
    log.info({ agentId, ...target, ...told, ...(leftOut > 0 && { leftOut }) }, 'egress')
    leftOut = 0
  }
}
