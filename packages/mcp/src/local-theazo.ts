import type { LocalTheazo } from '@theazo/server'

/**
 * Starts a server inside this process. Loaded only here: a program that uses a remote server need not have it installed.
 *
 * @throws {Error} if the package is missing or cannot be loaded, or if the machine cannot isolate sandboxes.
 */
export async function openLocalTheazo(): Promise<LocalTheazo> {
  const { createLocalTheazo } = await import('@theazo/server').catch((cause: unknown) => {
    throw new Error(loadFault(cause), { cause })
  })
  return await createLocalTheazo()
}

/** Exported for its test: a package that is missing or broken cannot be had in this repository. */
export function loadFault(cause: unknown): string {
  const { code, message }: NodeJS.ErrnoException = cause instanceof Error ? cause : new Error(String(cause))
  const isMissing = code === 'ERR_MODULE_NOT_FOUND' && message.includes("'@theazo/server'")
  if (isMissing) return '--local needs the package @theazo/server: npm install @theazo/server'
  return `--local could not load @theazo/server: ${message}`
}
