import { execFile } from 'node:child_process'

/**
 * Runs a tool of the system to its end.
 *
 * @param file name or path.
 * @returns the end of its standard output, 4 KiB at most.
 * @throws {ToolError} if it cannot be started, ends with a status other than 0, or takes longer than `timeoutMs`.
 */
export type RunTool = (file: string, args: readonly string[], options?: { timeoutMs?: number }) => Promise<string>

/** A tool of the system has failed. */
export class ToolError extends Error {
  override readonly name = 'ToolError'
  /** Its standard output until then. */
  readonly output: string

  constructor(file: string, why: string, output: string) {
    super(`${file}: ${why}`)
    this.output = output
  }
}

/** The PATH for tools, independent of the PATH of the server. */
export const toolPath = '/usr/sbin:/usr/bin:/sbin:/bin'

/** Runs a tool by a fork of this process, which stalls it. A running server uses {@link Launcher} instead. */
export const runTool: RunTool = (file, args, { timeoutMs } = {}) => {
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: { PATH: toolPath }, timeout: timeoutMs }, (error, stdout, stderr) => {
      if (error) reject(new ToolError(file, stderr.trim() || error.message, stdout))
      else resolve(stdout)
    })
  })
}
