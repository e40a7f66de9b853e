/**
 * Theazo sandboxes as LangChain and LangGraph tools.
 *
 * @module
 */
export { theazoTools, type TheazoToolsOptions } from './tools.ts'
export type { TheazoTool } from './theazo-tool.ts'
