import { TheazoError } from '../errors.ts'
import type { CallOptions } from './transport-options.ts'
import type { Feature } from '../wire.ts'

/**
 * The extensions of the server (contract, Basics). The header `Theazo-Features` of every response lists them. A server
 * that does not send the header has none.
 */
export class Features {
  readonly #probe: (options: CallOptions) => Promise<unknown>
  /** The header of the last response; null if it had none, undefined before the first response. */
  #header: string | null | undefined
  #names: ReadonlySet<string> = new Set()

  /** @param probe makes any request that changes nothing. */
  constructor(probe: (options: CallOptions) => Promise<unknown>) {
    this.#probe = probe
  }

  /** True if the last response listed the extension. Before the first response it is false. */
  has(feature: Feature): boolean {
    return this.#names.has(feature)
  }

  /** True if the last response had the header, even an empty one. */
  get areAdvertised(): boolean {
    return typeof this.#header === 'string'
  }

  /** Reads the header of a response. An error without it is ignored: it may come from a proxy. */
  update({ ok, headers }: Response): void {
    const header = headers.get('theazo-features')
    if (header === this.#header || (header === null && !ok)) return
    this.#header = header
    this.#names = new Set(header?.split(',').map((name) => name.trim()))
  }

  /** Like {@link has}, but before the first response it makes a request to find out. */
  async isSupported(feature: Feature, { signal, timeoutMs }: CallOptions): Promise<boolean> {
    if (this.#header === undefined) {
      await this.#probe({ signal, timeoutMs }).catch((error: unknown) => {
        // An error response has the header too.
        if (!TheazoError.isInstance(error) || error.status === undefined) throw error
      })
    }
    return this.has(feature)
  }
}
