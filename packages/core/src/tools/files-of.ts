import { SandboxFiles } from '../files/files.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** The sandbox's files, whatever kind of sandbox it is. */
export function filesOf(sandbox: ToolSandbox): SandboxFiles {
  return sandbox.files ?? new SandboxFiles(sandbox)
}

/** A file's name in a text of several lines: one that could be taken for more than a name is quoted. */
export function nameText(name: string): string {
  return /[\p{Cc}\u2028\u2029]/u.test(name) ? JSON.stringify(name) : name
}

/** For people and models: 12 bytes, 3.4 KiB, 5.6 MiB. */
export function sizeText(sizeBytes: number): string {
  if (sizeBytes < 1024) return `${sizeBytes} bytes`
  const inKiB = sizeBytes / 1024
  return inKiB < 1024 ? `${inKiB.toFixed(1)} KiB` : `${(inKiB / 1024).toFixed(1)} MiB`
}
