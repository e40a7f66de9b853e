import { SandboxFiles } from '@theazo/core'
import type { ToolSandbox } from '@theazo/core/tools'
import type { AgentRecord } from './agent-rows.ts'
import type { Execs } from './execs.ts'

/**
 * The agent's sandbox, for the tools of its task. The agent was checked when the task began, and a pause waits for the
 * task's step: so an exec of a tool is not refused during a pause.
 */
export function toolSandbox(execs: Execs, agent: AgentRecord): ToolSandbox {
  const run = async (
    lang: Parameters<ToolSandbox['exec']>[0],
    code: string,
    { signal = never, timeoutMs, stdin, onStdout, onStderr }: RunOptions = {},
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
    } finally {
      hold.release()
    }
  }
  const files = new SandboxFiles({ exec: run }, { hasStdin: () => true })
  return { id: agent.id, exec: run, files }
}

type RunOptions = NonNullable<Parameters<ToolSandbox['exec']>[2]> & { stdin?: Uint8Array | undefined }

const never = new AbortController().signal
