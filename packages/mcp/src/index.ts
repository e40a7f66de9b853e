/**
 * An MCP server that offers the Theazo tools over any transport of the MCP SDK.
 *
 * @module
 */
export type { TheazoMcpServerOptions } from './mcp-handlers.ts'
export { createTheazoMcpServer } from './sdk-v1/server.ts'
