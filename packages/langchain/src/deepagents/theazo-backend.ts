import { CompositeBackend, StateBackend } from 'deepagents'
import type { TheazoSandbox } from './theazo-sandbox.ts'

/** Folders that deepagents writes to by itself; in a sandbox the root of the file system is read-only. */
const ownFolders = ['/large_tool_results/', '/conversation_history/']

/**
 * The sandbox as backend, with deepagents' own folders in the state of the graph. Use it if tools of the agent return
 * large results: deepagents stores such results in its own folders, and the model cannot see one that was not stored.
 *
 * @example
 * ```ts
 * import { theazoBackend, TheazoSandbox } from '@theazo/langchain/deepagents'
 * import { createDeepAgent } from 'deepagents'
 *
 * await using sandbox = await TheazoSandbox.create({ session })
 * const assistant = createDeepAgent({ model: 'claude-sonnet-5-5', backend: theazoBackend(sandbox) })
 * ```
 */
export function theazoBackend(sandbox: TheazoSandbox): CompositeBackend {
  return new CompositeBackend(sandbox, Object.fromEntries(ownFolders.map((path) => [path, new StateBackend()])))
}
