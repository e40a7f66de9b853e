import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'examples/*/src/**/*.test.ts', 'test/src/**/*.test.ts'],
    // Real processes on a machine that may have two slow cores; a limit only for what hangs.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
