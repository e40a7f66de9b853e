import type { ExecResult, Language } from '../wire.ts'

/** What a tool needs of a sandbox. The client's `Agent` is one; it is small so that others can be. */
export interface ToolSandbox {
  readonly id: string
  exec(
    lang: Language,
    code: string,
    options?: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined },
  ): Promise<ExecResult>
}

/** A sandbox, or how to get one: asked at each call, so that none need be made before a tool is first used. */
export type SandboxSource = ToolSandbox | (() => Promise<ToolSandbox>)
