/**
 * The program of the egress proxy's own process: one for all sandboxes of a server. It reads orders from its standard
 * input and ends when that is closed, so it does not outlive the server. Its working folder contains a socket for each
 * sandbox, to which only the server connects. An unexpected error ends it; the server starts it again.
 *
 * @module
 */
import { rmSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { HostPattern } from '../../../network/host-pattern.ts'
import type { HostUser } from '../host-uid.ts'
import { BoundedLines } from './bounded-lines.ts'
import { egressLimits } from './egress-limits.ts'
import { EgressProxy } from './egress-proxy.ts'
import type { ProxyAnswer } from './proxy-answers.ts'
import { maxOrderBytes, parseOrder, type ProxyOrder } from './proxy-orders.ts'
import { limitLookups, systemLookup } from './vetted-addresses.ts'

/** Records are dropped if so much is unread by the server: they must not fill the memory here. */
const maxUnsentBytes = 2 ** 20
const proxies = new Map<number, { proxy: EgressProxy; listening: Promise<void> }>()
let settings: { greeting: Buffer; operator: readonly HostPattern[] } | undefined

/** Kills the process when the server has closed descriptor 3; a thread does it, as the main one may hang. */
const lifeline = `const { Socket } = require('node:net')
new Socket({ fd: 3 }).on('error', () => {}).on('close', () => process.kill(process.pid, 'SIGKILL')).resume()`
new Worker(lifeline, { eval: true, env: {} }).on('error', crash)
for (const name of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(name, () => {}) // the server handles these
const lines = new BoundedLines(maxOrderBytes)
process.stdin.on('data', (chunk: Buffer) => {
  for (const line of lines.push(chunk)) handle(parseOrder(line))
})
process.stdin.on('close', () => process.exit())
process.stdin.on('error', () => process.exit())
process.stdout.on('error', () => process.exit())

function handle(order: ProxyOrder): void {
  if (order.kind === 'begin') begin(order)
  else if (order.kind === 'open') open(order.number, order.allow)
  else if (order.kind === 'close') close(order.number).catch(crash)
  else answer({ kind: 'pong' })
}

function begin({ user, greeting, operator }: Extract<ProxyOrder, { kind: 'begin' }>): void {
  switchTo(user)
  settings = { greeting: Buffer.from(greeting), operator }
  answer({ kind: 'ready' })
}

/** Root gives up all its rights: the process needs none of them. */
function switchTo({ uid, gid }: HostUser): void {
  if (process.getuid?.() !== 0) return
  process.setgroups?.([])
  process.setgid?.(gid)
  process.setuid?.(uid)
  if (process.getuid() !== uid || process.getgid?.() !== gid) throw new Error(`cannot become the user ${uid}`)
}

function open(number: number, allow: readonly HostPattern[]): void {
  if (!settings) throw new Error('the first order is not begin')
  const { greeting, operator } = settings
  const proxy = new EgressProxy({
    ...egressLimits,
    rules: { allow, operator },
    lookup: limitLookups(systemLookup),
    greeting,
    onEnd: (record) => answer({ kind: 'ended', number, record }),
  })
  const path = `./${number}`
  rmSync(path, { force: true }) // left by a process that was killed
  const listening = proxy.listen(path)
  proxies.set(number, { proxy, listening })
  listening.then(
    () => answer({ kind: 'opened', number }),
    (error) => answer({ kind: 'failed', number, reason: String(error).slice(0, egressLimits.maxReasonChars) }),
  )
}

async function close(number: number): Promise<void> {
  const found = proxies.get(number)
  proxies.delete(number)
  await found?.listening.catch(() => {})
  await found?.proxy[Symbol.asyncDispose]()
  answer({ kind: 'closed', number })
}

function answer(message: ProxyAnswer): void {
  if (message.kind === 'ended' && process.stdout.writableLength > maxUnsentBytes) return
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function crash(error: unknown): void {
  process.stderr.write(`${String(error)}\n`)
  process.exit(1)
}
