import type { Agent } from '../agent.ts'
import type { SessionAgents } from '../agents.ts'
import type { SandboxFiles } from '../files/files.ts'
import type { Run } from '../runs/run.ts'
import type { RunOptions } from '../runs/run-source.ts'
import type { Session } from '../sessions.ts'
import type { Usage } from '../usage.ts'
import type { ExecResult, Language, Agent as WireAgent } from '../wire.ts'

/** What a tool needs of a sandbox. The client's `Agent` is one; it is small so that others can be. */
export interface ToolSandbox extends Partial<Pick<Agent, 'tasks' | 'terminate'>> {
  readonly id: string
  /** Its own way with files; without one they are worked on by `exec`. */
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
  /** Keeps the sandbox from being let go while a tool call runs, until the answer is called. */
  hold?(): () => void
  /** What a model must know before it reads the result of this call, once: its files are gone, for example. */
  takeNotice?(): string | undefined
}

/** Of the calls about a sandbox's state. */
export interface SandboxCallOptions {
  signal?: AbortSignal | undefined
}

/** A sandbox as the server described it. */
export interface DescribedSandbox {
  readonly data: WireAgent
}

/** A sandbox, or a function that gives one at each call: then none need be made before a tool is first used. */
export type SandboxSource = ToolSandbox | (() => Promise<ToolSandbox>)

/** Whose money is spent: `get_usage`, `create_agent` and `list_agents` work on it. */
export interface ToolAccount {
  usage: Pick<Usage, 'summary'>
  session: Pick<Session, 'id' | 'refresh' | 'data'> & { agents: Pick<SessionAgents, 'create' | 'list'> }
}

/** An account, or a function that gives one to the first tool that needs it; undefined if there is none. */
export type AccountSource = ToolAccount | (() => Promise<ToolAccount | undefined>)
