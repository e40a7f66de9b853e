import type { Language } from '@theazo/core'

/** A place where sandboxes run. One small interface; each implementation passes the same contract suite. */
export interface ComputeProvider extends AsyncDisposable {
  readonly name: string
  /**
   * Makes a sandbox that is ready for exec.
   *
   * @throws {SandboxStartError} where it cannot be had.
   */
  create(spec: SandboxSpec): Promise<Sandbox>
  /** Finds a sandbox made earlier, also by an earlier process of this server; undefined where it is gone. */
  attach(id: string): Promise<Sandbox | undefined>
  /** Bytes that a sandbox's files take; undefined where they are gone. */
  sizeOf(id: string): Promise<number | undefined>
  /** Removes what is left of sandboxes that nobody knows any more, e.g. since a server was killed while it ended one. */
  prune(isKnown: (id: string) => boolean): Promise<void>
}

/** What a sandbox is made from. */
export interface SandboxSpec {
  /** The agent's id; a sandbox has the same. */
  id: string
}

/** One agent's computer. */
export interface Sandbox {
  readonly id: string
  /**
   * Runs code to its end. Execs run side by side; each has its own processes, all share the files. When the signal
   * fires everything the exec started is killed, then this rejects with the signal's reason.
   *
   * @throws {SandboxStartError} where the code never ran.
   */
  exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome>
  /** Kills what runs and removes every file. Again is fine. */
  terminate(): Promise<void>
}

/** Code to run. */
export interface ExecRequest {
  lang: Language
  code: string
}

/** Where output goes, piece by piece and in order. */
export interface OutputSink {
  stdout(chunk: Uint8Array): void
  stderr(chunk: Uint8Array): void
}

/** How an exec ended. */
export interface ExecOutcome {
  /** 128 + n where signal n ended it. */
  exitCode: number
  durationMs: number
  /** True where output was lost before it reached the sink. */
  stdoutTruncated?: boolean
  stderrTruncated?: boolean
}
