import { existsSync } from 'node:fs'
import { type RunTool, ToolError } from './run-tool.ts'

const timeoutMs = 60_000

/**
 * Bytes that a folder uses on its disk, with sparse files and hard links counted correctly. Undefined if the folder is gone.
 *
 * It uses `du`: code may create and move millions of files during the measurement, which must not occupy this process.
 *
 * @throws {ToolError} if it cannot be measured.
 */
export async function sizeOfTree(run: RunTool, path: string): Promise<number | undefined> {
  try {
    return sizeIn(await run('du', ['-sx', '--block-size=1', '--', path], { timeoutMs }))
  } catch (error) {
    // It exits with 1 if code has closed a folder or moves files. The size of the files that it found is used then.
    const size = error instanceof ToolError ? sizeIn(error.output) : undefined
    if (size === undefined && existsSync(path)) throw error
    return size
  }
}

function sizeIn(output: string): number | undefined {
  const size = /^(\d+)\s/.exec(output)?.[1]
  return size === undefined ? undefined : Number(size)
}
