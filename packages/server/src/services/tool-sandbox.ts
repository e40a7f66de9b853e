import { ConflictError, ProviderError, SandboxFiles, ServerTimeoutError } from '@theazo/core'
import type { ToolSandbox } from '@theazo/core/tools'
import { ApiError } from '../errors.ts'
import type { AgentRecord } from './agent-rows.ts'
import type { Execs } from './execs.ts'

/**
 * The agent's sandbox, for the tools of its task. The agent was checked when the task began. A pause waits until the
 * current step ends, so its status is not checked again.
 */
export function toolSandbox(execs: Execs, agent: AgentRecord): ToolSandbox {
  const run = async (
    lang: Parameters<ToolSandbox['exec']>[0],
    code: string,
    { signal = neverAborted, timeoutMs, stdin, onStdout, onStderr }: RunOptions = {},
  ): ReturnType<ToolSandbox['exec']> => {
    const hold = execs.holdOutput(agent)
    const onOutput =
      onStdout || onStderr
        ? (stream: 'stdout' | 'stderr', text: string) => void (stream === 'stdout' ? onStdout : onStderr)?.(text)
        : undefined
    const body = {
      lang,
      code,
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(stdin && { stdin: { base64: Buffer.from(stdin).toString('base64') } }),
    }
    try {
      return await execs.run(agent, body, { signal, hold, onOutput })
    } catch (error) {
      throw signal.aborted ? error : asToolError(error)
    } finally {
      hold.release()
    }
  }
  const files = new SandboxFiles({ exec: run }, { hasStdin: () => true })
  return { id: agent.id, exec: run, files }
}

/** Converts an API error to the client's class, which the tools expect: they show the output so far, and give advice. */
function asToolError(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error
  const { code, message, details } = error
  // The tools distinguish only these classes; the code stays in the error.
  const ErrorClass = code === 'timeout' ? ServerTimeoutError : code === 'provider_error' ? ProviderError : ConflictError
  return new ErrorClass(message, { code, details, cause: error })
}

type RunOptions = NonNullable<Parameters<ToolSandbox['exec']>[2]> & { stdin?: Uint8Array | undefined }

const neverAborted = new AbortController().signal
