import { SandboxFiles } from '../files/files.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/**
 * The files of any kind of sandbox: its own file operations, or file operations by `exec`.
 *
 * @example
 * ```ts
 * import { filesOf } from '@theazo/core/tools'
 *
 * const notes = await filesOf(agent).readText('notes.md')
 * ```
 */
export function filesOf(sandbox: ToolSandbox): SandboxFiles {
  return sandbox.files ?? new SandboxFiles(sandbox)
}

/** A file name for a text of several lines. A name with control characters is quoted: it could imitate other lines. */
export function nameText(name: string): string {
  return /[\p{Cc}\u2028\u2029]/u.test(name) ? JSON.stringify(name) : name
}

/** A size for people and models: 12 bytes, 3.4 KiB, 5.6 MiB. */
export function sizeText(sizeBytes: number): string {
  if (sizeBytes < 1024) return `${sizeBytes} bytes`
  const inKiB = sizeBytes / 1024
  return inKiB < 1024 ? `${inKiB.toFixed(1)} KiB` : `${(inKiB / 1024).toFixed(1)} MiB`
}
