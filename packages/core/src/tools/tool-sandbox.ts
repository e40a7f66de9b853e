import type { Agent } from '../agent.ts'
import type { SessionAgents } from '../agents.ts'
import type { SandboxFiles } from '../files.ts'
import type { Session } from '../sessions.ts'
import type { Usage } from '../usage.ts'
import type { ExecResult, Language } from '../wire.ts'

/** What a tool needs of a sandbox. The client's `Agent` is one; it is small so that others can be. */
export interface ToolSandbox extends Partial<
  Pick<Agent, 'run' | 'tasks' | 'refresh' | 'pause' | 'resume' | 'terminate'>
> {
  readonly id: string
  /** Where it has its own way with files; else they are worked on by `exec`. */
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
}

/** A sandbox, or how to get one: asked at each call, so that none need be made before a tool is first used. */
export type SandboxSource = ToolSandbox | (() => Promise<ToolSandbox>)

/** Whose money is spent: what `get_usage`, `create_agent` and `list_agents` work on. */
export interface ToolAccount {
  usage: Pick<Usage, 'summary'>
  session: Pick<Session, 'id' | 'refresh' | 'data'> & { agents: Pick<SessionAgents, 'create' | 'list'> }
}
