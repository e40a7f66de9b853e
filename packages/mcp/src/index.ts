/**
 * Theazo as an MCP server: the tools of the catalog over any transport of the MCP SDK.
 *
 * @module
 */
export { createTheazoMcpServer, type TheazoMcpServerOptions } from './server.ts'
