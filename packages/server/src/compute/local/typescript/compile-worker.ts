/**
 * Removes the types of TypeScript programs, one after the other. It runs in a thread of its own, which is ended if a program
 * takes too long.
 *
 * @module
 */
import { stripTypeScriptTypes } from 'node:module'
import { parentPort } from 'node:worker_threads'
import type { Compiled } from './typescript-compiler.ts'

/* oxlint-disable unicorn/require-post-message-target-origin -- this is not a window */
process.emitWarning = () => {} // hides the warning that stripTypeScriptTypes is experimental
compile('enum Warm { Up }')
parentPort?.on('message', (code: string) => parentPort?.postMessage(compile(code)))
parentPort?.postMessage('ready')

/** Types are stripped if that is enough: stack traces then show the text of the user. Undefined if the program is invalid. */
function compile(code: string): Compiled | undefined {
  for (const mode of ['strip', 'transform'] as const) {
    try {
      const options = mode === 'transform' ? { mode, sourceMap: true, sourceUrl: 'main.ts' } : { mode }
      return { mode, source: stripTypeScriptTypes(code, options) }
    } catch {} // it needs a transformation, or is invalid
  }
  return undefined
}
