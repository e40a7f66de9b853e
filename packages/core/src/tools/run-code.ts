import { z } from 'zod/v4'
import type { ExecResult, Language } from '../wire.ts'
import { defineTool, type Tool } from './define-tool.ts'
import { nameText, sizeText } from './files-of.ts'
import { isBlank, maxStreamChars, truncate } from './model-text.ts'
import { hiddenImages, images } from './schemas.ts'
import { hiddenImagesText, imagesAmong, type ToolImages } from './tool-images.ts'

/** What the model gives `run_code`. */
export interface RunCodeInput {
  language: Language
  code: string
  timeoutSeconds?: number | undefined
}

/**
 * What `run_code` gives programs: where it ran and the exec result, each stream cut to its head and tail at 30,000
 * characters: it travels on into prompts, traces, checkpoints and user interfaces. `Agent.exec` gives all of it.
 */
export interface RunCodeData extends ExecResult, ToolImages {
  agentId: string
}

/** The server stops an exec after this many seconds, whatever the model asks for. */
const maxTimeoutSeconds = 120
/** Files that are named to the model. */
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

/** Open to fields that a newer server adds: a client that validates would else lose the whole result. */
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

/** Runs Python, TypeScript or Bash in the sandbox. */
export const runCode: Tool<'run_code', RunCodeInput, RunCodeData> = defineTool({
  name: 'run_code',
  title: 'Run code',
  description:
    'Run Python, TypeScript or Bash in an isolated Linux sandbox and get its output and exit code. ' +
    'The working directory is /workspace: files there last from call to call, variables and running processes do not. ' +
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
    const onOutput = report && ((message: string) => report({ message }))
    const result = await sandbox.exec(language, code, {
      signal,
      ...(seconds && seconds < maxTimeoutSeconds && { timeoutMs: seconds * 1000 }),
      ...(onOutput && { onStdout: onOutput, onStderr: onOutput }),
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
  if (!isBlank(stdout)) parts.push(stdout)
  if (!isBlank(stderr)) parts.push(`[stderr]\n${stderr}`)
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
  return parts.length === 0 ? '(no output)' : parts.map((part) => part.replace(/\n$/, '')).join('\n')
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
