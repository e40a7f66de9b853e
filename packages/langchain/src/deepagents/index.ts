/**
 * A Theazo sandbox as the backend of a deep agent: its file tools and `execute` work in the sandbox.
 *
 * @module
 */
export { theazoBackend } from './theazo-backend.ts'
export { TheazoSandbox, type CreateTheazoSandboxOptions, type TheazoSandboxOptions } from './theazo-sandbox.ts'
