import { execFile } from 'node:child_process'

/**
 * Runs one of the system's own tools to its end.
 *
 * @param file by name or path.
 * @returns the end of what it wrote on standard output, 4 KiB at most.
 * @throws {ToolError} where it cannot be started, ends with another status than 0, or takes longer than `timeoutMs`.
 */
export type RunTool = (file: string, args: readonly string[], options?: { timeoutMs?: number }) => Promise<string>

/** A tool of the system has failed. */
export class ToolError extends Error {
  override readonly name = 'ToolError'
  /** What it wrote on standard output all the same. */
  readonly output: string

  constructor(file: string, why: string, output: string) {
    super(`${file}: ${why}`)
    this.output = output
  }
}

/** Where tools are looked for, whatever the PATH of whoever started the server. */
export const toolPath = '/usr/sbin:/usr/bin:/sbin:/bin'

/** By a fork of this process, which stalls it: see {@link Launcher} for one that serves. */
export const runTool: RunTool = (file, args, { timeoutMs } = {}) => {
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: { PATH: toolPath }, timeout: timeoutMs }, (error, stdout, stderr) => {
      if (error) reject(new ToolError(file, stderr.trim() || error.message, stdout))
      else resolve(stdout)
    })
  })
}
