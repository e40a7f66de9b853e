import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import type { Agent } from '@theazo/core'
import { statusOf } from '../support/host-processes.ts'

/** A process of a sandbox, as the host sees it. */
export interface SandboxProcess {
  pid: number
  parent: number
  /** Its pid in the sandbox. */
  inside: number
  commandLine: string
  /** Value of a field of its /proc/PID/status; empty if the process is gone. */
  status: (name: string) => string
}

/**
 * All processes of an agent's sandbox, its pid 1 first. Leaves a `sleep` process in it, which identifies the sandbox.
 */
export async function processesOfAgent(agent: Agent): Promise<SandboxProcess[]> {
  const mark = `1000.${randomInt(1_000_000_000)}`
  await agent.exec('bash', leave(`sleep ${mark}`))
  const all = allProcesses()
  const byPid = new Map(all.map((process) => [process.pid, process]))
  const firstOf = (process: SandboxProcess | undefined): SandboxProcess | undefined => {
    return process && process.inside !== 1 ? firstOf(byPid.get(process.parent)) : process
  }
  const first = firstOf(all.find(({ commandLine }) => commandLine === `sleep ${mark}`))
  if (!first) throw new Error(`the host does not see the process that was left in ${agent.id}`)
  const below = (parent: SandboxProcess): SandboxProcess[] => {
    return [parent, ...all.filter((process) => process.parent === parent.pid).flatMap(below)]
  }
  return below(first)
}

/** Bash that starts a program which outlives its exec, and waits until the program runs. */
export function leave(command: string): string {
  return `setsid ${command} > /dev/null 2>&1 & until pgrep -fx '${command}' > /dev/null; do :; done`
}

/** Any process of the host. */
export function hostProcess(pid: number): SandboxProcess {
  const text = statusOf(String(pid))
  const status = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text)?.[1]?.trim() ?? ''
  return {
    pid,
    parent: Number(status('PPid')),
    inside: Number(status('NSpid').split(/\s+/).at(-1)),
    commandLine: commandLineOf(pid),
    status,
  }
}

function allProcesses(): SandboxProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => hostProcess(Number(name)))
    .filter(({ parent }) => !Number.isNaN(parent))
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return '' // the process ended after the listing
  }
}
