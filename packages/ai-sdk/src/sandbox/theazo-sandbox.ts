import type { Experimental_SandboxSession as SandboxSession } from 'ai'
import { baseDirectory, resolvePath } from './base-directory.ts'
import { fileMethods } from './file-methods.ts'
import type { SandboxHost } from './sandbox-host.ts'
import { spawnProcess } from './spawn-process.ts'

/**
 * The sandbox of an agent as the session that AI SDK 7 passes to tools (`experimental_sandbox`).
 *
 * Relative paths start at `/workspace`. `run` ends after 120 s; a process of `spawn` may run longer. The session never ends
 * the agent.
 *
 * @example
 * ```ts
 * import { theazoSandbox } from '@theazo/ai-sdk/sandbox'
 *
 * const sandbox = theazoSandbox(agent)
 * const { stdout } = await sandbox.run({ command: 'ls', workingDirectory: 'data' })
 * ```
 */
export function theazoSandbox(agent: SandboxHost): SandboxSession {
  return {
    description,
    ...fileMethods(agent),
    async run({ command, workingDirectory, env, abortSignal }) {
      const cwd = resolvePath(workingDirectory ?? '.')
      const { exitCode, stdout, stderr } = await agent.exec('bash', command, { cwd, env, signal: abortSignal })
      return { exitCode, stdout, stderr }
    },
    spawn: ((options) => spawnProcess(agent, options)) as SandboxSession['spawn'], // the result has stdin if it was asked for
  }
}

const description = `An isolated Linux sandbox with Bash, Python 3 and Node.js.
The working directory is ${baseDirectory}. Files persist between commands; variables do not.
There is no network. If HTTPS_PROXY is set, a few hosts are reachable through it.`
