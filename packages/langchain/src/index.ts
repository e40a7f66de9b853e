/**
 * LangChain and LangGraph tools for Theazo sandboxes.
 *
 * @module
 */
export { theazoInterruptOn, type TheazoInterruptOnOptions } from './interrupt-on.ts'
export { repairToolCalls } from './repair-tool-calls.ts'
export { createTheazoNode, type TheazoNodeOptions, type TheazoNodeResult } from './theazo-node.ts'
export type { TheazoTool } from './theazo-tool.ts'
export type { TheazoToolOptions } from './theazo-tool-options.ts'
export { TheazoToolkit, type TheazoToolkitOptions } from './toolkit.ts'
export { theazoTools, type TheazoToolsOptions } from './tools.ts'
export { artifactOf, inputOf } from './typed-messages.ts'
