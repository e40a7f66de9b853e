import type { ExecFile, Language } from '@theazo/core'

/** A place where sandboxes run. One small interface; each implementation passes the same contract suite. */
export interface ComputeProvider extends AsyncDisposable {
  readonly name: string
  /** False where `network` of a spec would be ignored. */
  readonly hasNetwork: boolean
  /** Starts of sandboxes that wait for the machine. */
  readonly waitingStarts: number
  /**
   * Makes a sandbox that is ready for exec.
   *
   * @throws {SandboxStartError} where it cannot be had.
   */
  create(spec: SandboxSpec): Promise<Sandbox>
  /** Finds a sandbox made earlier, also by an earlier process of this server; undefined where it is gone. */
  attach(spec: SandboxSpec): Promise<Sandbox | undefined>
  /** Bytes that a sandbox's files take; undefined where they are gone. */
  sizeOf(id: string): Promise<number | undefined>
  /** Ids of sandboxes with files that may change at any time, e.g. by a process that outlives its exec. */
  writers(): Promise<string[]>
  /** Removes what is left of sandboxes that nobody knows any more, e.g. since a server was killed while it ended one. */
  prune(isKnown: (id: string) => boolean): Promise<void>
}

/** What a sandbox is made from. */
export interface SandboxSpec {
  /** The agent's id; a sandbox has the same. */
  id: string
  /** Whose it is: starts of sandboxes wait in turns of these. */
  project: string
  /** Default: nothing can be reached. */
  network?: NetworkPolicy | undefined
}

/** What a sandbox may reach. */
export interface NetworkPolicy {
  /** Hosts, as `network.allow` of an agent has them. */
  allow: readonly string[]
}

/** One agent's computer. */
export interface Sandbox {
  readonly id: string
  /**
   * Starts its processes if there are none, which {@link exec} does as well. The caller's time for code begins after it.
   *
   * @throws {SandboxStartError} if they do not start; the signal's reason.
   */
  prepare(signal: AbortSignal): Promise<void>
  /**
   * Runs code to its end. Execs run side by side; each has its own processes, all share the files. At the end what is
   * still in the exec's session is killed; what has left it lives on. When the signal fires everything the exec started
   * is killed, whatever it has left, then this rejects with the signal's reason.
   *
   * @throws {SandboxStartError} where the code never ran.
   * @throws {SandboxLostError} where the sandbox broke down while it ran.
   */
  exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome>
  /** Stops every process where it is, until resume; one exec ends that too. */
  pause(): Promise<void>
  /** Lets them go on; nothing where there are none, e.g. since the server was started again. */
  resume(): Promise<void>
  /** Kills what runs and removes every file. Again is fine. */
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
  /** Default: nothing, at its end. */
  stdin?: Uint8Array | undefined
  /** Bytes of each stream that reach the sink. */
  maxOutputBytes: number
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
  /** What the code has made or changed, by path; absent where the provider cannot tell. */
  files?: ExecFile[]
  /** True where there are more, or too many to look at. */
  filesTruncated?: boolean
}
