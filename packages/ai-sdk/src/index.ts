/**
 * Theazo sandboxes as Vercel AI SDK tools.
 *
 * @module
 */
export { theazoTools, type TheazoToolSet, type TheazoToolsOptions } from './tools.ts'
