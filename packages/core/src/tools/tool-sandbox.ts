import type { Agent } from '../agent.ts'
import type { SessionAgents } from '../agents.ts'
import type { SandboxFiles } from '../files/files.ts'
import type { Run } from '../runs/run.ts'
import type { RunOptions } from '../runs/run-source.ts'
import type { Session } from '../sessions.ts'
import type { Usage } from '../usage.ts'
import type { ExecResult, Language, Agent as WireAgent } from '../wire.ts'

/** The sandbox interface of tools. `Agent` implements it. It is small, so that other kinds of sandboxes can too. */
export interface ToolSandbox extends Partial<Pick<Agent, 'tasks' | 'terminate'>> {
  readonly id: string
  /** The sandbox's own file operations. Default: file operations by `exec`. */
  readonly files?: SandboxFiles
  exec(
    lang: Language,
    code: string,
    options?: {
      signal?: AbortSignal | undefined
      timeoutMs?: number | undefined
      onStdout?: ((text: string) => unknown) | undefined
      onStderr?: ((text: string) => unknown) | undefined
    },
  ): Promise<ExecResult>
  /** Starts a run of the sandbox's own model loop. */
  run?(task: string, options?: RunOptions): Run | Promise<Run>
  refresh?(options?: SandboxCallOptions): Promise<DescribedSandbox>
  pause?(options?: SandboxCallOptions): Promise<DescribedSandbox>
  resume?(options?: SandboxCallOptions): Promise<DescribedSandbox>
  /** Prevents the release of the sandbox while a tool call runs, until the returned function is called. */
  hold?(): () => void
  /** Returns a notice for the model and removes it, e.g. that the files of earlier calls are lost. */
  takeNotice?(): string | undefined
}

/** Options of `refresh`, `pause` and `resume`. */
export interface SandboxCallOptions {
  signal?: AbortSignal | undefined
}

/** A sandbox with the data that the server last sent. */
export interface DescribedSandbox {
  readonly data: WireAgent
}

/** A sandbox, or a function that returns one for each call, so that no sandbox is created before the first call. */
export type SandboxSource = ToolSandbox | (() => Promise<ToolSandbox>)

/** The session that pays, and its usage. The tools `get_usage`, `create_agent` and `list_agents` need it. */
export interface ToolAccount {
  usage: Pick<Usage, 'summary'>
  session: Pick<Session, 'id' | 'refresh' | 'data'> & { agents: Pick<SessionAgents, 'create' | 'list'> }
}

/** An account, or a function that returns one, or undefined if there is none. It is called only if a tool needs it. */
export type AccountSource = ToolAccount | (() => Promise<ToolAccount | undefined>)
