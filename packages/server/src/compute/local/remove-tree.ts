import { type RunTool, runTool } from './run-tool.ts'

/**
 * Removes a folder that untrusted code has filled.
 *
 * Uses coreutils: they open folders by descriptor, so links and paths longer than PATH_MAX cannot mislead them. A user other
 * than root must first open the folders that the code has closed.
 */
export async function removeTree(path: string, run: RunTool = runTool): Promise<void> {
  if (process.getuid?.() !== 0) await run('chmod', ['-R', '--', 'u+rwx', path]).catch(() => {})
  await run('rm', ['-rf', '--one-file-system', '--', path])
}
