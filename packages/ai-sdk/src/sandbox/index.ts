/**
 * A Theazo sandbox as the sandbox session of AI SDK 7, and as a sandbox provider of its harnesses.
 *
 * @module
 */
export { type BashToolSandbox, bashToolSandbox } from './bash-tool-sandbox.ts'
export { bindSignal } from './bind-signal.ts'
export {
  createTheazoSandbox,
  type CreateTheazoSandboxOptions,
  type TheazoNetworkSession,
  type TheazoSandboxProvider,
} from './create-theazo-sandbox.ts'
export { theazoSandbox } from './theazo-sandbox.ts'
