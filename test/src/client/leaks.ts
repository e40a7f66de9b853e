import { createHook } from 'node:async_hooks'
import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'

const controllers: AbortController[] = []
/** Where each timer that runs was set, of those that the client set itself. */
const timers = new Map<number, string>()

// Counting all timers of the process would count those of the test runner, which come and go.
const timerHook = createHook({
  init(id, type) {
    const caller = type === 'Timeout' ? callerOfSetTimeout() : undefined
    if (caller?.includes('/packages/core/')) timers.set(id, caller.trim())
  },
  destroy: (id) => void timers.delete(id),
})

/** A caller's controller, whose signal is looked at after the test: no listener may be left on it. */
export function callerAbort(): AbortController {
  const controller = new AbortController()
  controllers.push(controller)
  return controller
}

/**
 * Looks after each test of the file for timers of the client and for listeners on the signals of {@link callerAbort}.
 * Sockets and streams are looked at by the fault server when it is disposed.
 */
export function watchLeaks(): void {
  beforeAll(() => void timerHook.enable())
  afterAll(() => void timerHook.disable())
  beforeEach(() => {
    controllers.length = 0
    timers.clear()
  })
  afterEach(async () => {
    // What a settled promise has yet to clean up does so within a few turns.
    for (let turn = 0; turn < 50 && (timers.size > 0 || listenerCount() > 0); turn += 1) await setImmediate()
    expect({ listeners: listenerCount(), timers: [...timers.values()] }).toEqual({ listeners: 0, timers: [] })
  })
}

function listenerCount(): number {
  return controllers.reduce((count, { signal }) => count + getEventListeners(signal, 'abort').length, 0)
}

function callerOfSetTimeout(): string | undefined {
  const frames = new Error('where').stack?.split('\n') ?? []
  return frames[frames.findIndex((frame) => frame.includes('at setTimeout (node:')) + 1]
}
