import { TheazoError } from '../errors.ts'
import type { CallOptions } from './transport-options.ts'
import type { Feature } from '../wire.ts'

/**
 * What the server at the base URL can do beyond the reference (contract, Basics): told by the header `Theazo-Features`
 * of every answer. A server that sends none has none.
 */
export class Features {
  readonly #ask: (options: CallOptions) => Promise<unknown>
  /** The last answer's header; null where it had none, undefined before the first answer. */
  #header: string | null | undefined
  #names: ReadonlySet<string> = new Set()

  /** @param ask makes some request that changes nothing. */
  constructor(ask: (options: CallOptions) => Promise<unknown>) {
    this.#ask = ask
  }

  /** True where the server has said so; false also before its first answer. */
  has(feature: Feature): boolean {
    return this.#names.has(feature)
  }

  /** True where the server tells of extensions at all, be it that it has none. */
  get areTold(): boolean {
    return typeof this.#header === 'string'
  }

  /** Of an answer. An error page of a proxy says nothing. */
  learn({ ok, headers }: Response): void {
    const header = headers.get('theazo-features')
    if (header === this.#header || (header === null && !ok)) return
    this.#header = header
    this.#names = new Set(header?.split(',').map((name) => name.trim()))
  }

  /** The same as {@link has}, after asking the server where it has not answered yet. */
  async known(feature: Feature, { signal, timeoutMs }: CallOptions): Promise<boolean> {
    if (this.#header === undefined) {
      await this.#ask({ signal, timeoutMs }).catch((error: unknown) => {
        // Any answer tells, a refusal too.
        if (!TheazoError.isInstance(error) || error.status === undefined) throw error
      })
    }
    return this.has(feature)
  }
}
