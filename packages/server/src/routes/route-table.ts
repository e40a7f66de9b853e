import type { Result, Router } from 'hono/router'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { SmartRouter } from 'hono/router/smart-router'
import { TrieRouter } from 'hono/router/trie-router'
import type { RouterRoute } from 'hono/types'

/**
 * A router of Hono's for each method: its fastest refuses patterns that may meet, which ours do only where methods differ
 * or are POST. The latest match is kept: it is asked for by the metrics, and then by Hono.
 */
export class RouteTable<Handler> implements Router<Handler> {
  readonly name = 'RouteTable'
  readonly #byMethod = new Map<string, Router<Handler>>()
  #latest: { method: string; path: string; result: Result<Handler> } | undefined

  /** @param method one of HTTP's, not `ALL`. */
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

/** A path as routes name it, with the methods that it has. */
export interface KnownPath {
  pattern: string
  methods: readonly string[]
}

/** Finds which of the routes' paths one is, whatever the method. */
export function knownPaths(routes: readonly RouterRoute[]): (path: string) => KnownPath | undefined {
  const byPattern = new Map<string, Set<string>>()
  for (const { path, method } of routes) {
    if (method !== 'ALL' && !path.includes('*')) byPattern.set(path, (byPattern.get(path) ?? new Set()).add(method))
  }
  const router = new TrieRouter<KnownPath>()
  for (const [pattern, methods] of byPattern) router.add('ALL', pattern, { pattern, methods: [...methods] })
  return (path) => router.match('ALL', path)[0].at(-1)?.[0]
}
