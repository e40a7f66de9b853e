import type { TheazoError } from '../errors.ts'
import { isBlank, maxStreamChars, modelText, outputText, truncate } from './model-text.ts'
import { ToolInputError } from './tool-input-error.ts'

const maxErrorChars = 8000

/** The text of an error for a model: what happened, and advice on what to do. */
export function toolErrorText(error: TheazoError, tool: string): string {
  const isInput = ToolInputError.isInstance(error)
  const text = isInput
    ? error.message
    : `${error.name} (${error.code}): ${messageOf(error, tool)}\n${adviceOn(error, tool)}`
  const shown = modelText(text, '(an error without a message)', maxErrorChars)
  const output = outputOf(error)
  return output === '' ? shown : modelText(`${output}\n${shown}`)
}

/** The message of a client timeout names an HTTP request, which a model does not know. */
function messageOf({ code, message }: TheazoError, tool: string): string {
  if (tool === 'run_code' && code === 'client_timeout') return 'no answer came in time.'
  return messageByCode[code] ?? message
}

/** The errors whose own message names the address of the server. A model repeats its texts to users. */
const messageByCode: Record<string, string> = {
  connection_error: 'the server was not reached, or the connection was lost.',
  invalid_response: 'the server sent no valid answer.',
}

/** The output of an exec before an error ended it (contract, exec). */
function outputOf({ details = {} }: TheazoError): string {
  return outputText({ stdout: shownStream(details['stdout']), stderr: shownStream(details['stderr']) })
}

function shownStream(text: unknown): string {
  return typeof text === 'string' && !isBlank(text) ? truncate(text, maxStreamChars) : ''
}

function adviceOn({ code, isRetryable }: TheazoError, tool: string): string {
  const isTimeout = code === 'timeout' || code === 'client_timeout'
  if (isTimeout && runsCode.has(tool)) return tooLong
  if (isTimeout) return 'The server did not answer in time. You may try once more.'
  if (code === 'file_too_large' && tool === 'write_file') return 'Write it in parts with run_code.'
  const known = adviceByCode[code]
  if (known !== undefined) return known
  if (isRetryable) return 'You may try once more.'
  return code.startsWith('file_') ? 'Check the path with list_files.' : 'Do not retry as is.'
}

const runsCode: ReadonlySet<string> = new Set(['run_code', 'run_task'])
const tooLong = 'The code ran too long and was killed; files it wrote are kept. Split the work into shorter steps.'

const adviceByCode: Record<string, string> = {
  session_limit_exceeded: 'A limit set by the owner is reached. Stop using this tool and tell the user.',
  unauthorized: 'The API key is wrong: only the owner can fix this. Stop using this tool and tell the user.',
  forbidden: 'The API key lacks the permission: only the owner can fix this. Stop using this tool and tell the user.',
  not_found: 'The sandbox is gone with its files. Tell the user.',
  not_supported: 'Stop using this tool; do the work another way.',
  file_too_large: 'Read a part of it with run_code.',
}
