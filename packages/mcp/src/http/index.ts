/**
 * The MCP server for Streamable HTTP.
 *
 * @module
 */
export { createTheazoMcpApp, type TheazoMcpAppOptions } from './mcp-app.ts'
export type { McpAuth, TokenVerifier, VerifiedToken } from './mcp-auth.ts'
export type { McpHttp } from './mcp-http.ts'
