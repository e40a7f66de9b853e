import { z } from 'zod'
import { TheazoError } from '../errors.ts'
import { toBase64 } from '../exec.ts'
import type { ExecFile, ExecResult, Language } from '../wire.ts'
import { defineTool, type Tool, type ToolImage } from './define-tool.ts'
import { filesOf, imageType, maxImageBytes, type Pictures, sizeText } from './files-of.ts'
import { image } from './schemas.ts'
import type { ToolSandbox } from './tool-sandbox.ts'
import { truncate } from './truncate.ts'

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
export interface RunCodeData extends ExecResult, Pictures {
  agentId: string
}

/** The server stops an exec after this many seconds, whatever the model asks for. */
const maxTimeoutSeconds = 120
/** Characters of each stream that are kept. */
const maxStreamChars = 30_000
/** Pictures that one call shows to the model, and their bytes in all. */
const maxImages = 4
const maxImagesBytes = 4 * 1024 * 1024

const input: z.ZodType<RunCodeInput> = z.object({
  language: z.enum(['python', 'typescript', 'bash']).describe('The language the code is written in.'),
  code: z.string().describe('The program. Print what you want to see.'),
  timeoutSeconds: z
    .number()
    .int()
    .min(1)
    .max(maxTimeoutSeconds)
    .optional()
    .describe(`Seconds until the code is killed; at most and by default ${maxTimeoutSeconds}.`),
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
    images: z.array(image).optional(),
  })
  .passthrough() as z.ZodType<RunCodeData> // zod types an optional key as `| undefined`; ExecResult has none

/** Runs Python, TypeScript or Bash in the sandbox. */
export const runCode: Tool<'run_code', RunCodeInput, RunCodeData> = defineTool({
  name: 'run_code',
  title: 'Run code',
  description:
    'Run Python, TypeScript or Bash in an isolated Linux sandbox and get its output and exit code. ' +
    'The working directory is /workspace: files there last from call to call, variables and running processes do not. ' +
    'There is no network, unless HTTPS_PROXY is set: then a few hosts, through that proxy. TypeScript runs on Node.js and may import node built-ins and use top-level await. ' +
    'A picture that the code saves as a file there is shown to you.',
  input,
  output,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  async run({ language, code, timeoutSeconds }, { sandbox, signal, report }) {
    // Models ignore bounds now and then, and not every framework validates: clamp.
    const seconds = timeoutSeconds === undefined ? undefined : Math.min(Math.max(timeoutSeconds, 1), maxTimeoutSeconds)
    const tell = report && ((message: string) => report({ message }))
    const result = await sandbox.exec(language, code, {
      signal,
      // Without one the client's own default stands: the server's 120 s and a margin for its answer.
      ...(seconds && seconds < maxTimeoutSeconds && { timeoutMs: seconds * 1000 }),
      ...(tell && { onStdout: tell, onStderr: tell }),
    })
    const images = await picturesOf(sandbox, result.files ?? [], signal)
    return { agentId: sandbox.id, ...bounded(result), ...(images.length > 0 && { images }) }
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
}: RunCodeData): string {
  const parts: string[] = []
  if (stdout) parts.push(stdout)
  if (stderr) parts.push(`[stderr]\n${stderr}`)
  if (stdoutTruncated || stderrTruncated) parts.push('[the output is not complete: it was too long]')
  if (files.length > 0) {
    const listed = files.slice(0, maxListed).map(({ path, sizeBytes }) => `${path} (${sizeText(sizeBytes)})`)
    const more = files.length > maxListed || filesTruncated ? ', and more' : ''
    parts.push(`[files made or changed: ${listed.join(', ')}${more}]`)
  }
  if (exitCode !== 0) parts.push(`[exit code ${exitCode}]`)
  return parts.length === 0 ? '(no output)' : parts.map((part) => part.replace(/\n$/, '')).join('\n')
}

/** The pictures among what the code made, as far as a result may carry them. */
async function picturesOf(
  sandbox: ToolSandbox,
  files: readonly ExecFile[],
  signal: AbortSignal | undefined,
): Promise<ToolImage[]> {
  const images: ToolImage[] = []
  let room = maxImagesBytes
  for (const { path, sizeBytes } of files.filter(({ path }) => pictureName.test(path))) {
    if (images.length === maxImages) break
    if (sizeBytes > Math.min(room, maxImageBytes)) continue
    try {
      const bytes = await filesOf(sandbox).read(path, { signal, maxBytes: room })
      const mediaType = imageType(bytes)
      if (!mediaType) continue
      images.push({ path, mediaType, base64: toBase64(bytes) })
      room -= bytes.length
    } catch (error) {
      // Another call may have removed it; the code's own result must not be lost for a picture.
      if (signal?.aborted || !TheazoError.isInstance(error)) throw error
    }
  }
  return images
}

const pictureName = /\.(png|jpe?g|gif|webp)$/i
/** Files that are named to the model. */
const maxListed = 20

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
