import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { percentile, type Row } from './measure.ts'

const idleCount = 200
const busyCount = 50
const execsEach = 20

/** Many agents on one machine: what an idle one takes, and how many at once get on. */
export async function manyAgentsRows(): Promise<Row[]> {
  return [await idleRow(), await busyRow()]
}

async function idleRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('bench')
  const before = availableBytes()
  for (let n = 0; n < idleCount; n += 1) await (await session.agents.create()).exec('python', 'print(4)')
  await new Promise((resolve) => setTimeout(resolve, 2_000)) // what is made ahead is made
  const each = (before - availableBytes()) / idleCount / 2 ** 20
  const bare = bareMiB()
  return {
    what: `sandbox: memory of one of ${idleCount} idle agents that have run Python`,
    ours: `${each.toFixed(1)} MiB`,
    peer: 'one bare python3 (RssAnon)',
    theirs: `${bare.toFixed(1)} MiB`,
    ratio: each / bare,
  }
}

async function busyRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('bench')
  const agents = []
  for (let n = 0; n < busyCount; n += 1) agents.push(await session.agents.create())
  const times: number[] = []
  const startedAt = performance.now()
  await Promise.all(
    agents.map(async (agent) => {
      for (let n = 0; n < execsEach; n += 1) {
        const from = performance.now()
        const { stdout } = await agent.exec('python', 'print(2 + 2)')
        if (stdout !== '4\n') throw new Error(`an exec printed ${stdout}`)
        times.push(performance.now() - from)
      }
    }),
  )
  const rate = (times.length * 1000) / (performance.now() - startedAt)
  const sorted = times.toSorted((a, b) => a - b)
  const [p50, p99] = [percentile(sorted, 50), percentile(sorted, 99)]
  return {
    what: `sandbox: ${busyCount} agents with Python at once, ${rate.toFixed(0)} execs/s without a failure, p50`,
    ours: `${p50.toFixed(0)} ms`,
    peer: 'p99',
    theirs: `${p99.toFixed(0)} ms`,
    ratio: p50 / p99,
  }
}

/** Of the whole machine: shared pages count once. */
function availableBytes(): number {
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024
}

/** What a bare interpreter has of its own. */
function bareMiB(): number {
  const program = "print(next(line for line in open('/proc/self/status') if line.startswith('RssAnon')).split()[1])"
  return Number(execFileSync('/usr/bin/python3', ['-c', program], { encoding: 'utf8' })) / 1024
}
