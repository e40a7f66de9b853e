/**
 * LangChain and LangGraph tools for Theazo sandboxes.
 *
 * @module
 */
export { theazoTools, type TheazoToolsOptions } from './tools.ts'
export type { TheazoTool } from './theazo-tool.ts'
