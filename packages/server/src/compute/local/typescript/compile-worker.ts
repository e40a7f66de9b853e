/**
 * Takes the types out of one TypeScript program after the other: a thread of its own, which is ended where that takes
 * too long.
 *
 * @module
 */
import { stripTypeScriptTypes } from 'node:module'
import { parentPort } from 'node:worker_threads'
import type { Compiled } from './typescript-compiler.ts'

/* oxlint-disable unicorn/require-post-message-target-origin -- this is no window */
process.emitWarning = () => {} // stripTypeScriptTypes is experimental, as the operator need not be told
compile('enum Warm { Up }')
parentPort?.on('message', (code: string) => parentPort?.postMessage(compile(code)))
parentPort?.postMessage('ready')

/** Stripped where that is enough: what is shown of the code is then the user's. Undefined where the program is wrong. */
function compile(code: string): Compiled | undefined {
  for (const mode of ['strip', 'transform'] as const) {
    try {
      const options = mode === 'transform' ? { mode, sourceMap: true, sourceUrl: 'main.ts' } : { mode }
      return { mode, source: stripTypeScriptTypes(code, options) }
    } catch {} // it needs more
  }
  return undefined
}
