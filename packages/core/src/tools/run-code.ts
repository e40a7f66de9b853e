import { z } from 'zod/v4'
import type { ExecResult, Language } from '../wire.ts'
import { defineTool, type Tool } from './define-tool.ts'
import { nameText, sizeText } from './files-of.ts'
import { maxStreamChars, outputText, truncate } from './model-text.ts'
import { hiddenImages, images } from './schemas.ts'
import { hiddenImagesText, imagesAmong, type ToolImages } from './tool-images.ts'

/** Input of `run_code`. */
export interface RunCodeInput {
  language: Language
  code: string
  timeoutSeconds?: number | undefined
}

/**
 * Data of `run_code`: the agent's id and the result of the exec. Each output stream is cut to 30,000 characters, because
 * the data goes into prompts, traces, checkpoints and user interfaces. `Agent.exec` returns the whole output.
 */
export interface RunCodeData extends ExecResult, ToolImages {
  agentId: string
}

/** The server kills the code of an exec after this time at the latest. */
const maxTimeoutSeconds = 120
/** The cap on files in the text for the model. */
const maxListed = 20

const input: z.ZodType<RunCodeInput> = z.object({
  language: z.enum(['python', 'typescript', 'bash']).describe('The language the code is written in.'),
  code: z.string().describe('The program. Print what you want to see.'),
  timeoutSeconds: z
    .number()
    .int()
    .min(1)
    .max(maxTimeoutSeconds)
    .optional()
    .describe(`Seconds until the code is killed, 1 to ${maxTimeoutSeconds}. Default ${maxTimeoutSeconds}.`),
})

/** Unknown fields pass: otherwise a client that validates would lose the whole result of a newer server. */
const output: z.ZodType<RunCodeData> = z
  .object({
    agentId: z.string(),
    stdout: z.string(),
    stderr: z.string(),
    exitCode: z.number().int(),
    durationMs: z.number(),
    stdoutTruncated: z.boolean().optional(),
    stderrTruncated: z.boolean().optional(),
    files: z
      .array(z.object({ path: z.string(), sizeBytes: z.number(), mediaType: z.string().optional() }).passthrough())
      .optional(),
    filesTruncated: z.boolean().optional(),
    images,
    hiddenImages,
  })
  .passthrough() as z.ZodType<RunCodeData> // zod types an optional key as `| undefined`; ExecResult has none

/**
 * Runs Python, TypeScript or Bash in the sandbox.
 *
 * @example
 * ```ts
 * import { runCode } from '@theazo/core/tools'
 *
 * const result = await runCode.run({ language: 'python', code: 'print(2 + 2)' }, { sandbox: agent })
 * if (!result.isError) console.log(result.data.exitCode, result.text)
 * ```
 */
export const runCode: Tool<'run_code', RunCodeInput, RunCodeData> = defineTool({
  name: 'run_code',
  title: 'Run code',
  description:
    'Run Python, TypeScript or Bash in an isolated Linux sandbox and get its output and exit code. ' +
    'The working directory is /workspace: files there persist between calls, variables and running processes do not. ' +
    'To keep a server running, start it in its own session from Bash: setsid COMMAND > FILE 2>&1 &. ' +
    'There is no network. If HTTPS_PROXY is set, a few hosts are reachable through it. TypeScript runs on Node.js and may import node built-ins and use top-level await. ' +
    'An image that the code saves in /workspace as a PNG, JPEG, GIF or WebP file is shown to you.',
  input,
  aliases: {
    language: {
      py: 'python',
      python3: 'python',
      ts: 'typescript',
      js: 'typescript',
      javascript: 'typescript',
      node: 'typescript',
      sh: 'bash',
      shell: 'bash',
    },
  },
  output,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  async run({ language, code, timeoutSeconds: seconds }, { sandbox, signal, report, imagesOff }) {
    const reportOutput = (type: 'stdout' | 'stderr') => report && ((text: string) => report({ type, text }))
    const result = await sandbox.exec(language, code, {
      signal,
      ...(seconds && seconds < maxTimeoutSeconds && { timeoutMs: seconds * 1000 }),
      ...(report && { onStdout: reportOutput('stdout'), onStderr: reportOutput('stderr') }),
    })
    const images = await imagesAmong(sandbox, result.files ?? [], imagesOff, signal)
    return { agentId: sandbox.id, ...bounded(result), ...images }
  },
  toImages: ({ images }) => images ?? [],
  toText,
})

function toText({
  stdout,
  stderr,
  exitCode,
  stdoutTruncated,
  stderrTruncated,
  files = [],
  filesTruncated,
  hiddenImages = [],
}: RunCodeData): string {
  const parts: string[] = []
  const printed = outputText({ stdout, stderr })
  if (printed !== '') parts.push(printed)
  if (stdoutTruncated || stderrTruncated) parts.push('[the output is not complete: it was too long]')
  if (files.length > 0) {
    const listed = files.slice(0, maxListed).map(({ path, sizeBytes }) => `${nameText(path)} (${sizeText(sizeBytes)})`)
    const more = files.length > maxListed || filesTruncated ? ', and more' : ''
    parts.push(`[files made or changed: ${listed.join(', ')}${more}]`)
  } else if (filesTruncated) {
    parts.push('[files were made or changed that are not listed here]')
  }
  if (hiddenImages.length > 0) parts.push(hiddenImagesText(hiddenImages))
  if (exitCode !== 0) parts.push(`[exit code ${exitCode}]`)
  return parts.length === 0 ? '(no output)' : parts.join('\n')
}

function bounded(result: ExecResult): ExecResult {
  const { stdout, stderr } = result
  return {
    ...result,
    stdout: truncate(stdout, maxStreamChars),
    stderr: truncate(stderr, maxStreamChars),
    ...(stdout.length > maxStreamChars && { stdoutTruncated: true }),
    ...(stderr.length > maxStreamChars && { stderrTruncated: true }),
  }
}
