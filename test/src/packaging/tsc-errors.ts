import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/server-process.ts'

/** Compiles all files of a folder as strictly as the repository does. Returns the lines of the errors. */
export function tscErrors(folder: string, options: Record<string, unknown> = {}): string[] {
  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.base.json'), 'utf8'))
  const own = { isolatedDeclarations: false, declaration: false, moduleDetection: 'force', types: ['node'] }
  const config = { compilerOptions: { ...compilerOptions, ...own, declarationMap: false, ...options } }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  try {
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', '.', '--pretty', 'false'], { cwd: folder, stdio: 'pipe' })
    return []
  } catch (error) {
    const { stdout } = error as { stdout: Buffer } // of execFileSync
    return String(stdout).trim().split('\n')
  }
}
