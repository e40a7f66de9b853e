import type { Result, Router } from 'hono/router'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { SmartRouter } from 'hono/router/smart-router'
import { TrieRouter } from 'hono/router/trie-router'
import type { RouterRoute } from 'hono/types'

/**
 * One of Hono's routers for each method. Hono's fastest router refuses patterns that overlap; ours overlap only across
 * methods, or for POST. The latest match is cached: the metrics ask for it first, then Hono.
 */
export class RouteTable<Handler> implements Router<Handler> {
  readonly name = 'RouteTable'
  readonly #byMethod = new Map<string, Router<Handler>>()
  #latest: { method: string; path: string; result: Result<Handler> } | undefined

  /** @param method an HTTP method, not `ALL`. */
  add(method: string, path: string, handler: Handler): void {
    let router = this.#byMethod.get(method)
    if (!router) {
      router = new SmartRouter({ routers: [new RegExpRouter<Handler>(), new TrieRouter<Handler>()] })
      this.#byMethod.set(method, router)
    }
    router.add(method, path, handler)
  }

  match(method: string, path: string): Result<Handler> {
    if (this.#latest?.method === method && this.#latest.path === path) return this.#latest.result
    const result: Result<Handler> = this.#byMethod.get(method)?.match(method, path) ?? [[]]
    this.#latest = { method, path, result }
    return result
  }
}

/** The pattern of a path, with the methods that have a route. */
export interface KnownPath {
  pattern: string
  methods: readonly string[]
}

/** Returns a function that finds the pattern of a path, for any method. */
export function knownPaths(routes: readonly RouterRoute[]): (path: string) => KnownPath | undefined {
  const byPattern = new Map<string, Set<string>>()
  for (const { path, method } of routes) {
    if (method !== 'ALL' && !path.includes('*')) byPattern.set(path, (byPattern.get(path) ?? new Set()).add(method))
  }
  const router = new TrieRouter<KnownPath>()
  for (const [pattern, methods] of byPattern) router.add('ALL', pattern, { pattern, methods: [...methods] })
  return (path) => router.match('ALL', path)[0].at(-1)?.[0]
}
