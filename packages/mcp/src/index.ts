/**
 * An MCP server that offers the Theazo tools over any transport of the MCP SDK.
 *
 * @module
 */
export { createTheazoMcpServer, type TheazoMcpServerOptions } from './server.ts'
