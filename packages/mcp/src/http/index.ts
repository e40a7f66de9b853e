/**
 * The MCP server for Streamable HTTP.
 *
 * @module
 */
export { createJwtVerifier, type JwtVerifierOptions } from './jwt-verifier.ts'
export { createTheazoMcpApp, type TheazoMcpAppOptions } from './mcp-app.ts'
export type { McpAuth, TokenVerifier, VerifiedToken } from './mcp-auth.ts'
export type { McpHttp } from './mcp-http.ts'
