import { FileError } from '@theazo/core'
import type { Experimental_SandboxSession as SandboxSession } from 'ai'

/** The interface of a sandbox in the package `bash-tool`. */
export interface BashToolSandbox {
  executeCommand(command: string): Promise<{ stdout: string; stderr: string; exitCode: number }>
  readFile(path: string): Promise<string>
  writeFiles(files: { path: string; content: string | Uint8Array }[]): Promise<void>
}

/**
 * A session as the `sandbox` of `createBashTool` from the package `bash-tool`, whose tools pass no signal on: use
 * `bindSignal` first.
 *
 * @example
 * ```ts
 * import { bashToolSandbox, bindSignal, theazoSandbox } from '@theazo/ai-sdk/sandbox'
 *
 * const session = bindSignal(theazoSandbox(agent), AbortSignal.timeout(60_000))
 * const sandbox = bashToolSandbox(session) // createBashTool({ sandbox })
 * ```
 */
export function bashToolSandbox(session: SandboxSession): BashToolSandbox {
  return {
    async executeCommand(command) {
      return await session.run({ command })
    },
    async readFile(path) {
      const text = await session.readTextFile({ path })
      if (text === null) {
        throw new FileError(`There is no file ${path}.`, { code: 'file_not_found', details: { path } })
      }
      return text
    },
    async writeFiles(files) {
      for (const { path, content } of files) {
        await (typeof content === 'string'
          ? session.writeTextFile({ path, content })
          : session.writeBinaryFile({ path, content }))
      }
    },
  }
}
