/**
 * Vercel AI SDK tools for Theazo sandboxes.
 *
 * @module
 */
export { TheazoToolError } from './tool-error.ts'
export type { RunCodeOutput, RunningCode } from './running-code.ts'
export type { RunningTask, RunTaskOutput, TaskStep } from './running-task.ts'
export type { OfferedTools, TheazoToolSet } from './tool-set.ts'
export { theazoTools, type TheazoToolsOptions } from './tools.ts'
