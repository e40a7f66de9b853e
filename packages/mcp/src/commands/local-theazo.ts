import type { LocalTheazo } from '@theazo/server'

/**
 * Starts a Theazo server in this process. The import is dynamic because users of a remote server may not have
 * `@theazo/server` installed.
 *
 * @throws {Error} if the package is missing or does not load, or if this machine cannot isolate sandboxes.
 */
export async function openLocalTheazo(): Promise<LocalTheazo> {
  const { createLocalTheazo } = await import('@theazo/server').catch((cause: unknown) => {
    throw new Error(loadErrorMessage(cause), { cause })
  })
  return await createLocalTheazo()
}

/** Exported for its test: in this repository the package is never missing or broken. */
export function loadErrorMessage(cause: unknown): string {
  const { code, message }: NodeJS.ErrnoException = cause instanceof Error ? cause : new Error(String(cause))
  const isMissing = code === 'ERR_MODULE_NOT_FOUND' && message.includes("'@theazo/server'")
  if (isMissing) return '--local needs the package @theazo/server: npm install @theazo/server'
  return `--local could not load @theazo/server: ${message}`
}
