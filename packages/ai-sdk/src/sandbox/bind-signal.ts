import type { Experimental_SandboxSession as SandboxSession } from 'ai'

/**
 * A session whose calls all end when the signal fires, besides their own `abortSignal`. For tools that do not pass on the
 * signal of their call, such as those of `bash-tool`.
 *
 * @example
 * ```ts
 * import { bindSignal, theazoSandbox } from '@theazo/ai-sdk/sandbox'
 *
 * const sandbox = bindSignal(theazoSandbox(agent), AbortSignal.timeout(60_000))
 * await sandbox.run({ command: 'make' })
 * ```
 */
export function bindSignal(session: SandboxSession, signal: AbortSignal): SandboxSession {
  const bound =
    <Options extends { abortSignal?: AbortSignal }, Result>(method: (options: Options) => Result) =>
    (options: Options): Result => {
      const { abortSignal } = options
      return method({ ...options, abortSignal: abortSignal ? AbortSignal.any([abortSignal, signal]) : signal })
    }
  return {
    description: session.description,
    run: bound((options) => session.run(options)),
    spawn: bound((options) => session.spawn(options)) as SandboxSession['spawn'], // the overloads of the same function
    readFile: bound((options) => session.readFile(options)),
    readBinaryFile: bound((options) => session.readBinaryFile(options)),
    readTextFile: bound((options) => session.readTextFile(options)),
    writeFile: bound((options) => session.writeFile(options)),
    writeBinaryFile: bound((options) => session.writeBinaryFile(options)),
    writeTextFile: bound((options) => session.writeTextFile(options)),
    stat: bound((options) => session.stat(options)),
    listDirectory: bound((options) => session.listDirectory(options)),
    deleteFile: bound((options) => session.deleteFile(options)),
  }
}
