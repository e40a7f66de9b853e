import type { Language } from '@theazo/core'

/** How a language is run inside the sandbox. */
export interface LanguageRunner {
  /** Where the code is put, read-only. */
  codePath: string
  /** Further read-only files, by path. */
  files: Record<string, string>
  command: readonly string[]
}

export const nodePath = '/opt/node/bin/node'
export const pythonPath = '/usr/bin/python3'
export const bashPath = '/bin/bash'

const folder = '/run/theazo'

/**
 * The code is read from its own place, but acts as a file of /workspace: relative imports find the user's files, stack
 * traces name /workspace/main.ts, and `require` is there for those who write it.
 */
const typescriptBootstrap = `
import { createRequire, registerHooks } from 'node:module'
import { readFileSync } from 'node:fs'
const main = 'file:///workspace/main.ts'
globalThis.require = createRequire(main)
process.argv.splice(1, 1, '/workspace/main.ts')
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'theazo:main' ? { url: main, shortCircuit: true } : next(specifier, context),
  load: (url, context, next) =>
    url === main
      ? { format: 'module-typescript', source: readFileSync('${folder}/main.ts', 'utf8'), shortCircuit: true }
      : next(url, context),
})
await import('theazo:main')
`

/** Enums and namespaces need more than stripping; Node's transform mode has it, where this Node still offers the mode. */
const transformFlags = process.allowedNodeEnvironmentFlags.has('--experimental-transform-types')
  ? ['--experimental-transform-types', '--disable-warning=ExperimentalWarning']
  : []

export const languages: Record<Language, LanguageRunner> = {
  python: {
    codePath: `${folder}/main.py`,
    files: {},
    command: [pythonPath, `${folder}/main.py`],
  },
  typescript: {
    codePath: `${folder}/main.ts`,
    files: { [`${folder}/bootstrap.mjs`]: typescriptBootstrap },
    command: [nodePath, ...transformFlags, `${folder}/bootstrap.mjs`],
  },
  bash: {
    codePath: `${folder}/main.sh`,
    files: {},
    command: [bashPath, `${folder}/main.sh`],
  },
}
