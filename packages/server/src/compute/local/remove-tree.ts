import { type RunTool, runTool } from './run-tool.ts'

/**
 * Removes a folder that untrusted code has filled.
 *
 * By coreutils: they walk by descriptor, so that neither a link nor a path longer than PATH_MAX leads them astray.
 * A plain user must first open the folders that the code has closed; root needs no permission.
 */
export async function removeTree(path: string, run: RunTool = runTool): Promise<void> {
  if (process.getuid?.() !== 0) await run('chmod', ['-R', '--', 'u+rwx', path]).catch(() => {})
  await run('rm', ['-rf', '--one-file-system', '--', path])
}
