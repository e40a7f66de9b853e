/**
 * A middleware for LangChain's `createAgent` that brings a Theazo sandbox.
 *
 * @module
 */
export { theazoMiddleware, type TheazoMiddlewareOptions } from './theazo-middleware.ts'
