import type { ExecFile, Language } from '@theazo/core'

/** A place where sandboxes run. One small interface; each implementation passes the same contract suite. */
export interface ComputeProvider extends AsyncDisposable {
  readonly name: string
  /** False if this provider ignores `network` of a spec. */
  readonly hasNetwork: boolean
  /** How many starts of sandboxes are queued. */
  readonly waitingStarts: number
  /**
   * Creates a sandbox that is ready for exec.
   *
   * @throws {SandboxStartError} if it does not start.
   */
  create(spec: SandboxSpec): Promise<Sandbox>
  /** Finds a sandbox that was created earlier, also by an earlier process of this server; undefined if it is gone. */
  attach(spec: SandboxSpec): Promise<Sandbox | undefined>
  /** Size of a sandbox's files in bytes; undefined if they are gone. */
  sizeOf(id: string): Promise<number | undefined>
  /** Ids of sandboxes whose files may change at any time, e.g. by a process that outlives its exec. */
  writers(): Promise<string[]>
  /** Removes the files of unknown sandboxes, e.g. of one that a server was terminating when it was killed. */
  prune(isKnown: (id: string) => boolean): Promise<void>
}

/** Describes a sandbox to create or to find. */
export interface SandboxSpec {
  /** The id of the agent, and of its sandbox. */
  id: string
  /** The project of the agent. The queue for starts takes one start from each project in turn. */
  project: string
  /** Default: no network access. */
  network?: NetworkPolicy | undefined
}

/** The network access of a sandbox. */
export interface NetworkPolicy {
  /** Allowed hosts, in the form of `network.allow` of an agent. */
  allow: readonly string[]
}

/** One agent's computer. */
export interface Sandbox {
  readonly id: string
  /**
   * Starts the processes of the sandbox if none run. {@link exec} does so, too; a separate call lets the caller start the
   * timeout of the code after it.
   *
   * @throws {SandboxStartError} if they do not start.
   * @throws the signal's reason if the signal fires.
   */
  prepare(signal: AbortSignal): Promise<void>
  /**
   * Runs code to its end. Execs run concurrently; each has its own processes, all share the files. At the end, processes
   * that are still in the session of the exec are killed; processes that have left the session live on. If the signal
   * fires, all processes that the exec has started are killed, also those outside of its session. Then this rejects with
   * the signal's reason.
   *
   * @throws {SandboxStartError} if the code never ran.
   * @throws {SandboxLostError} if the sandbox broke down while the code ran.
   */
  exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome>
  /** Freezes every process until {@link resume} or the next {@link exec}. */
  pause(): Promise<void>
  /** Unfreezes the processes. Does nothing if there are none, e.g. after a restart of the server. */
  resume(): Promise<void>
  /** Kills every process and removes every file. Idempotent. */
  terminate(): Promise<void>
}

/** Code to run. */
export interface ExecRequest {
  lang: Language
  code: string
  /** Working directory, from `/workspace`. Default `/workspace`. */
  cwd?: string | undefined
  /** Added to the environment. */
  env?: Record<string, string> | undefined
  /** Default: empty. */
  stdin?: Uint8Array | undefined
  /** How many bytes of each stream the sink receives at most. */
  maxOutputBytes: number
}

/** Receives output in chunks, in order. */
export interface OutputSink {
  stdout(chunk: Uint8Array): void
  stderr(chunk: Uint8Array): void
}

/** The result of an exec. */
export interface ExecOutcome {
  /** 128 + n if signal n ended the code. */
  exitCode: number
  durationMs: number
  /** True if the sink did not receive all output. */
  stdoutTruncated?: boolean
  stderrTruncated?: boolean
  /** Files that the code has created or changed; absent if the provider does not detect them. */
  files?: ExecFile[]
  /** True if there are more, or too many to check. */
  filesTruncated?: boolean
}
