import type { DynamicToolUIPart, InferUITools, ToolUIPart } from 'ai'
import type { TheazoToolSet } from '@theazo/ai-sdk'
import { stoppedText } from '../protocol.ts'

/** A tool call in a message. */
export type ToolPart = ToolUIPart<InferUITools<TheazoToolSet>> | DynamicToolUIPart

export type ToolState = 'running' | 'waiting' | 'done' | 'failed' | 'refused' | 'stopped'

/**
 * @param isLive the answer that contains the call is running.
 * @param isLast no later message exists, so that a call may still wait for the user.
 */
export function stateOf(part: ToolPart, isLive: boolean, isLast: boolean): ToolState {
  const running = isLive ? 'running' : 'stopped'
  switch (part.state) {
    case 'approval-requested':
      return isLast ? 'waiting' : 'refused'
    case 'approval-responded':
      return part.approval.approved ? running : 'refused'
    case 'output-available':
      if (isCut(part)) return running // after a stop, the last preliminary result stays
      return exitCodeOf(part) === 0 ? 'done' : 'failed'
    case 'output-error':
      return part.errorText === stoppedText ? 'stopped' : 'failed'
    case 'output-denied':
      return 'refused'
    default:
      return running
  }
}

export function stateText(part: ToolPart, state: ToolState): string {
  const exitCode = exitCodeOf(part)
  if (state === 'failed' && exitCode !== 0) return `exit code ${exitCode}`
  return {
    waiting: 'waits for you',
    running: 'running',
    done: 'done',
    failed: 'failed',
    refused: 'refused',
    stopped: 'stopped',
  }[state]
}

function isCut(part: ToolPart): boolean {
  return part.type === 'tool-run_code' && part.state === 'output-available' && part.output.status === 'running'
}

/** Only `run_code` can fail without an error: by its exit code. */
function exitCodeOf(part: ToolPart): number {
  if (part.type !== 'tool-run_code' || part.state !== 'output-available') return 0
  return part.output.exitCode ?? 0
}

/** What the call does, in a few words. */
export function titleOf(part: ToolPart): string {
  const { input } = part
  switch (part.type) {
    case 'tool-run_code':
      return languages[part.input?.language ?? ''] ?? 'Code'
    case 'tool-write_file':
      return `Write ${part.input?.path ?? 'a file'}`
    case 'tool-edit_file':
      return `Edit ${part.input?.path ?? 'a file'}`
    case 'tool-delete_file':
      return `Delete ${part.input?.path ?? 'a file'}`
    case 'tool-read_file':
      return `Read ${part.input?.path ?? 'a file'}`
    case 'tool-list_files':
      return `List ${part.input?.path ?? 'files'}`
    case 'dynamic-tool':
      return part.toolName
    default:
      return `${part.type.replace('tool-', '')} ${input === undefined ? '' : JSON.stringify(input)}`
  }
}

const languages: Record<string, string> = { python: 'Python', typescript: 'TypeScript', bash: 'Bash' }
