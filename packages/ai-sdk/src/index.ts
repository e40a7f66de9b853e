/**
 * Theazo sandboxes as Vercel AI SDK tools.
 *
 * @module
 */
export { TheazoToolError } from './tool-error.ts'
export type { OfferedTools, TheazoToolSet } from './tool-set.ts'
export { theazoTools, type TheazoToolsOptions } from './tools.ts'
