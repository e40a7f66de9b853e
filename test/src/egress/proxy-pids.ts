import { readdirSync } from 'node:fs'
import { commandOf, statusOf } from '../support/host-processes.ts'

/** Pids of the egress proxies of one server, or of all servers. */
export function proxyPids(serverPid?: number): number[] {
  const found = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || !commandOf(pid).includes('egress/proxy-program')) return false
    return serverPid === undefined || new RegExp(`^PPid:\\t${serverPid}$`, 'm').test(statusOf(pid))
  })
  return found.map(Number)
}

/** Pid of the egress proxy of a server. @throws if there is none, or more than one. */
export function proxyPidOf(serverPid: number | undefined): number {
  const [pid, ...others] = proxyPids(serverPid)
  if (pid === undefined || others.length > 0)
    throw new Error(`expected one process of the egress proxy: ${pid} ${others}`)
  return pid
}
