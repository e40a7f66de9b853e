import { type AnyTool, modelText } from '@theazo/core/tools'
import type { ApprovalQuestion } from '../mcp-types.ts'

/** The time that a user has for an answer: a person may take longer than a request between programs. */
export const approvalTimeoutMs: number = 10 * 60 * 1000
/** The cap on the input in the question. */
const maxInputChars = 2000

/** The question whether a call may run. It shows the tool and its input, and a warning if the input is cut. */
export function approvalQuestion({ title }: AnyTool, input: unknown): ApprovalQuestion {
  const text = JSON.stringify(input, undefined, 2)
  const warning =
    text.length > maxInputChars
      ? `WARNING: you see only a part of this input. It has ${text.length} characters, of which about ${maxInputChars} are shown.\n`
      : ''
  const message = `${title}?\n${warning}${modelText(text, '{}', maxInputChars)}`
  return { message, requestedSchema: { type: 'object', properties: {} } }
}
