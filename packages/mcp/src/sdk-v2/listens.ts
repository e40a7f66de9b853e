import type { Resources } from '../resources/resources.ts'

/**
 * The URIs that the clients of one set of resources listen to. Version 2 of the SDK answers `subscriptions/listen`
 * itself, without a callback for the server. So the URIs are read from the messages.
 */
export class Listens {
  readonly #resources: Resources
  /** The number of listeners of each URI. */
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
      this.#resources.subscribe(uri).catch(() => {}) // this resource has no changes to report
    }
    return () => {
      for (const uri of uris) this.#remove(uri)
      uris.clear()
    }
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
