/**
 * The Theazo API, self-hosted: real sandboxes on this machine, without an account.
 *
 * @module
 */
export type { McpProcessOptions, McpRemoteOptions, McpServerOptions } from './engine/mcp/mcp-options.ts'
export type {
  AiModel,
  CompatibleProviderOptions,
  ModelsOptions,
  ProviderOptions,
} from './engine/models/model-catalog.ts'
export type { ModelPrice } from './engine/models/prices.ts'
export { SetupError, TheazoServerError } from './errors.ts'
export type { Clock } from './clock.ts'
export type { ApiKeys, CreateKeyOptions, KeyInfo, Principal } from './keys/api-keys.ts'
export type { Plan } from './keys/plan.ts'
export type { Scope } from './keys/scopes.ts'
export { type ListeningTheazo, type ListenOptions, listenTheazo } from './listen.ts'
export { createLocalTheazo, type LocalTheazo } from './local.ts'
export type { ServerOptions } from './server.ts'
