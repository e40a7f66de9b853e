import { createHook } from 'node:async_hooks'
import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'

const controllers: AbortController[] = []
/** Running timers of the client, with the place of their creation. */
const timers = new Map<number, string>()

// Timers of the test runner are not counted.
const timerHook = createHook({
  init(id, type) {
    const caller = type === 'Timeout' ? callerOfSetTimeout() : undefined
    if (caller?.includes('/packages/core/')) timers.set(id, caller.trim())
  },
  destroy: (id) => void timers.delete(id),
})

/** An AbortController of a caller. After the test its signal is checked: no listener may remain. */
export function callerAbort(): AbortController {
  const controller = new AbortController()
  controllers.push(controller)
  return controller
}

/**
 * Checks after each test of the file for timers of the client and listeners on the signals of {@link callerAbort}. The
 * fault server checks sockets and streams on its disposal.
 */
export function watchLeaks(): void {
  beforeAll(() => void timerHook.enable())
  afterAll(() => void timerHook.disable())
  beforeEach(() => {
    controllers.length = 0
    timers.clear()
  })
  afterEach(async () => {
    // Cleanup after a settled promise takes a few turns of the event loop.
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
