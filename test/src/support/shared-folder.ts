import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** A temporary folder that all test files of one run share. It is removed at the end of the run. */
    sharedFolder: string
  }
}

/** The global set-up of Vitest: creates the shared folder. */
export function setup({ provide }: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-shared-'))
  provide('sharedFolder', folder)
  return () => rm(folder, { recursive: true, force: true })
}
