import type { TheazoError } from '../errors.ts'
import { modelText } from './model-text.ts'
import { ToolInputError } from './tool-input-error.ts'

const maxErrorChars = 8000

/** Says what happened and what to do about it; a model reads this and acts on it. */
export function toolErrorText(error: TheazoError): string {
  const isInput = ToolInputError.isInstance(error)
  const text = isInput ? error.message : `${error.name} (${error.code}): ${error.message}\n${adviceOn(error)}`
  return modelText(text, '(an error without a message)', maxErrorChars)
}

function adviceOn({ code, isRetryable }: TheazoError): string {
  const known = adviceByCode[code]
  if (known !== undefined) return known
  if (isRetryable) return 'You may try once more.'
  return code.startsWith('file_') ? 'Check the path with list_files.' : 'Do not retry as is.'
}

const adviceByCode: Record<string, string> = {
  session_limit_exceeded: 'A limit set by the owner is reached. Stop using this tool and tell the user.',
  unauthorized: 'The API key is wrong: only the owner can mend this. Stop using this tool and tell the user.',
  forbidden: 'The API key lacks the permission: only the owner can mend this. Stop using this tool and tell the user.',
  not_found: 'The sandbox is gone with its files. Tell the user.',
  not_supported: 'Stop using this tool; do the work another way.',
  timeout: 'The code ran too long and was killed; files it wrote are kept. Split the work into shorter steps.',
  client_timeout: 'The code ran too long and was killed; files it wrote are kept. Split the work into shorter steps.',
  file_too_large: 'Read a part of it with run_code.',
}
