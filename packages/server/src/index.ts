/**
 * The Theazo API, self-hosted: real sandboxes on this machine, no account.
 *
 * @module
 */
export { SetupError, TheazoServerError } from './errors.ts'
export type { Plan } from './keys/plan.ts'
export { type ListeningTheazo, type ListenOptions, listenTheazo } from './listen.ts'
export { createLocalTheazo, type LocalTheazo } from './local.ts'
export type { ServerOptions } from './server.ts'
