import type { SandboxOptions } from '../compute/local/sandbox-options.ts'
import { SetupError } from '../errors.ts'
import { type Flag, type Given, wholeNumber } from './flags.ts'

/** Flags of the limits of sandboxes and of the pools, for `serve` and `doctor`. */
export const sandboxFlags = {
  'memory-mb': { value: 'N', env: 'THEAZO_MEMORY_MB', help: 'memory of a sandbox in MiB (default 1024)' },
  'cpu-percent': {
    value: 'N',
    env: 'THEAZO_CPU_PERCENT',
    help: 'CPU time of a sandbox; 100 is one CPU (default 200, at most 75 for each CPU of the machine)',
  },
  processes: { value: 'N', env: 'THEAZO_PROCESSES', help: 'processes and threads of a sandbox (default 512)' },
  'disk-mb': { value: 'N', env: 'THEAZO_DISK_MB', help: 'disk space of a sandbox in MiB (default 2048)' },
  pool: { value: 'N', env: 'THEAZO_POOL', help: 'sandboxes kept ready for new agents (default 1)' },
  'warm-processes': {
    value: 'N',
    env: 'THEAZO_WARM_PROCESSES',
    help: 'processes kept ready in an agent for each of Python and bash (default 1)',
  },
  'warm-nodes': {
    value: 'N',
    env: 'THEAZO_WARM_NODES',
    help: 'Node processes kept ready in an agent that uses TypeScript (default 1)',
  },
  mount: {
    value: 'INSIDE=DIR,…',
    env: 'THEAZO_MOUNT',
    help: 'folders that code may read, e.g. /opt/venv=/srv/venv',
  },
  'code-env': { value: 'NAME=VALUE,…', env: 'THEAZO_CODE_ENV', help: 'added to the environment of all code' },
} as const satisfies Record<string, Flag>

const mebi = 1024 * 1024

type SandboxFlag = keyof typeof sandboxFlags

/** @throws {SetupError} that names the flag, or its variable. */
export function sandboxOptionsOf({ values, nameOf }: Given<SandboxFlag>): SandboxOptions {
  const number = (name: SandboxFlag, min: number, max: number, factor = 1): number | undefined => {
    const value = wholeNumber(nameOf(name), values[name], min, max)
    return value === undefined ? undefined : value * factor
  }
  return {
    memoryBytes: number('memory-mb', 64, 1_048_576, mebi),
    cpus: number('cpu-percent', 5, 100_000, 0.01),
    maxProcesses: number('processes', 16, 100_000),
    diskBytes: number('disk-mb', 1, 1_048_576, mebi),
    poolSize: number('pool', 0, 1000),
    warmProcesses: number('warm-processes', 0, 16),
    warmNodes: number('warm-nodes', 0, 16),
    mounts: pairs(nameOf('mount'), values.mount, sandboxFlags.mount),
    env: pairs(nameOf('code-env'), values['code-env'], sandboxFlags['code-env']),
  }
}

function pairs(name: string, text: string | undefined, flag: { value: string }): Record<string, string> | undefined {
  if (text === undefined) return undefined
  const entries = text.split(',').map((entry) => {
    const [, key, value] = /^([^=]+)=(.+)$/s.exec(entry) ?? []
    if (key === undefined || value === undefined) {
      throw new SetupError(`${name} must be a list of ${flag.value}, not ${text}`)
    }
    return [key, value] as const
  })
  return Object.fromEntries(entries)
}
