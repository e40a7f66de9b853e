/**
 * Vercel AI SDK tools for Theazo sandboxes.
 *
 * @module
 */
export { theazoApproval, type ApprovalRule, type ToolCallToApprove } from './approval.ts'
export { TheazoToolError } from './tool-error.ts'
export type { RunCodeOutput, RunningCode } from './running-code.ts'
export type { RunningTask, RunTaskOutput, TaskStep } from './running-task.ts'
export type { OfferedTools, TheazoToolSet } from './tool-set.ts'
export { theazoTools, type TheazoToolsOptions } from './tools.ts'
export { forModel } from './ui/for-model.ts'
export { resumePoint, type ResumePoint } from './ui/resume-point.ts'
export type { RunFailure } from './ui/failure-text.ts'
export { toUIMessageStream, type ToUIMessageStreamOptions } from './ui/to-ui-message-stream.ts'
export type { TheazoDataParts, TheazoMetadata, TheazoUIMessage, TheazoUIMessageChunk } from './ui/ui-message.ts'
