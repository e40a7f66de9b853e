/**
 * Theazo sandboxes as LangChain and LangGraph tools.
 *
 * @module
 */
export { createTheazoTools, type TheazoLangChainTool, type TheazoToolsOptions } from './tools.ts'
