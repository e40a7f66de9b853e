import type { Resources } from '../resources/resources.ts'

/**
 * The URIs that the clients of one set of resources listen to. Version 2 of the SDK answers `subscriptions/listen`
 * itself and does not tell the server which resources it must watch.
 */
export class Listens {
  readonly #resources: Resources
  /** How many listeners each URI has. */
  readonly #counts = new Map<string, number>()

  constructor(resources: Resources) {
    this.#resources = resources
  }

  /** Watches the resources that a message listens to. The returned function ends this; undefined for other messages. */
  add(message: unknown): (() => void) | undefined {
    const uris = listenedUris(message)
    if (!uris) return undefined
    for (const uri of uris) {
      this.#counts.set(uri, (this.#counts.get(uri) ?? 0) + 1)
      void this.#subscribe(uri)
    }
    return () => {
      for (const uri of uris) this.#remove(uri)
      uris.clear()
    }
  }

  async #subscribe(uri: string): Promise<void> {
    try {
      await this.#resources.subscribe(uri)
    } catch {
      return // of a resource that does not change nothing is reported
    }
    if (!this.#counts.has(uri)) this.#resources.unsubscribe(uri) // the last listener ended in the meantime
  }

  #remove(uri: string): void {
    const count = (this.#counts.get(uri) ?? 0) - 1
    if (count > 0) return void this.#counts.set(uri, count)
    this.#counts.delete(uri)
    this.#resources.unsubscribe(uri)
  }
}

function listenedUris(message: unknown): Set<string> | undefined {
  const { method, params } = (message ?? {}) as { method?: unknown; params?: { notifications?: unknown } }
  if (method !== 'subscriptions/listen') return undefined
  const { resourceSubscriptions } = (params?.notifications ?? {}) as { resourceSubscriptions?: unknown }
  if (!Array.isArray(resourceSubscriptions)) return undefined
  return new Set(resourceSubscriptions.filter((uri) => typeof uri === 'string'))
}
