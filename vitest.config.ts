import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    globalSetup: ['test/src/support/shared-folder.ts'],
    // Most of a test is waiting, so two at a time even where there are two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Real processes on a machine that may have two slow cores; a limit only for what hangs.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'theazo',
          include: ['packages/*/src/**/*.test.ts', 'examples/*/src/**/*.test.ts', 'test/src/**/*.test.ts'],
        },
      },
      {
        // The adapter again, on the older major of the AI SDK that it supports. Only version 7 has sandbox sessions and telemetry integrations.
        extends: true,
        resolve: { alias: [{ find: /^ai(?=$|\/)/, replacement: 'ai-6' }] },
        test: {
          name: 'ai-6',
          include: ['packages/ai-sdk/src/**/*.test.ts'],
          exclude: ['packages/ai-sdk/src/{sandbox,telemetry}/**'],
        },
      },
    ],
  },
})
