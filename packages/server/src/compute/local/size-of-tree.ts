import { existsSync } from 'node:fs'
import { type RunTool, ToolError } from './run-tool.ts'

const timeoutMs = 60_000

/**
 * Bytes that a folder takes on its disk, holes and hard links counted as they are; undefined where it is gone; rejects where it cannot be measured.
 *
 * By `du` and not by our own walk: sandboxed code may make and move millions of names meanwhile, and that must not hold
 * this process.
 */
export async function sizeOfTree(run: RunTool, path: string): Promise<number | undefined> {
  try {
    return sizeIn(await run('du', ['-sx', '--block-size=1', '--', path], { timeoutMs }))
  } catch (error) {
    // It exits with 1 where code has closed a folder or moves things; what it could see is then the answer.
    const size = error instanceof ToolError ? sizeIn(error.output) : undefined
    if (size === undefined && existsSync(path)) throw error
    return size
  }
}

function sizeIn(output: string): number | undefined {
  const size = /^(\d+)\s/.exec(output)?.[1]
  return size === undefined ? undefined : Number(size)
}
