import { type AnyTool, modelText } from '@theazo/core/tools'
import type { ApprovalQuestion } from '../mcp-types.ts'

/** The time that a user has for an answer: a person may take longer than a request between programs. */
export const approvalTimeoutMs: number = 10 * 60 * 1000
/** The cap on the input in the question. */
const maxInputChars = 2000

/** The question whether a call may run. It shows the tool and its input. */
export function approvalQuestion({ title }: AnyTool, input: unknown): ApprovalQuestion {
  const shown = modelText(JSON.stringify(input ?? {}, undefined, 2), '{}', maxInputChars)
  return { message: `${title}?\n${shown}`, requestedSchema: { type: 'object', properties: {} } }
}
