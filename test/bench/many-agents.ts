import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { percentile, type Row, timeRow } from './measure.ts'

const run = promisify(execFile)

const idleCount = 200
const busyCount = 50
const execsEach = 20

/** Memory of the machine that one idle agent uses. */
export async function idleRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('bench')
  const before = availableBytes()
  for (let n = 0; n < idleCount; n += 1) await (await session.agents.create()).exec('python', 'print(4)')
  await new Promise((resolve) => setTimeout(resolve, 2_000)) // wait until warm interpreters and pooled sandboxes are ready
  const each = (before - availableBytes()) / idleCount / 2 ** 20
  const bare = bareMiB()
  return {
    what: `sandbox: memory per agent, ${idleCount} idle agents that have run Python`,
    ours: `${each.toFixed(1)} MiB`,
    peer: 'one bare python3 (RssAnon)',
    theirs: `${bare.toFixed(1)} MiB`,
    ratio: each / bare,
  }
}

/** Python in many agents at the same time, compared with the same number of loops of bare Python. */
export async function busyRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('bench')
  const agents: Agent[] = []
  for (let n = 0; n < busyCount; n += 1) agents.push(await session.agents.create())
  for (const agent of agents) await agent.exec('python', 'print(1)') // warm-up: every working agent has run Python
  const times: number[] = []
  const execOnce = async (agent: Agent): Promise<void> => {
    const from = performance.now()
    const { stdout } = await agent.exec('python', 'print(2 + 2)')
    if (stdout !== '4\n') throw new Error(`an exec printed ${stdout}`)
    times.push(performance.now() - from)
  }
  const rate = async (once: (agent: Agent) => Promise<unknown>): Promise<number> => {
    const startedAt = performance.now()
    await Promise.all(
      agents.map(async (agent) => {
        for (let n = 0; n < execsEach; n += 1) await once(agent)
      }),
    )
    return (busyCount * execsEach * 1000) / (performance.now() - startedAt)
  }
  const bare = await rate(() => run('/usr/bin/python3', ['-c', 'print(2 + 2)']))
  const ours = await rate(execOnce)
  const sorted = times.toSorted((a, b) => a - b)
  const [p50, p99] = [percentile(sorted, 50), percentile(sorted, 99)].map((ms) => ms.toFixed(0))
  return {
    what: `sandbox: ${busyCount} agents run Python concurrently without a failure (p50 ${p50} ms, p99 ${p99} ms)`,
    ours: `${ours.toFixed(0)} execs/s`,
    peer: `${busyCount} loops of bare python3 -c`,
    theirs: `${bare.toFixed(0)} /s`,
    ratio: ours / bare,
    goal: '>= 1',
  }
}

/** Many agents created concurrently, each with one exec, compared with the same number of bare sandboxes. */
export async function burstRow(): Promise<Row> {
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('bench')
  const create = async (): Promise<Agent> => {
    const agent = await session.agents.create({ timeoutMs: 300_000 })
    await agent.exec('bash', 'echo 1')
    return agent
  }
  const times = { ours: [] as number[], bare: [] as number[] }
  for (let round = 0; round < 3; round += 1) {
    let from = performance.now()
    await Promise.all(Array.from({ length: busyCount }, () => run('bwrap', bareSandbox)))
    times.bare.push(performance.now() - from)
    from = performance.now()
    const agents = await Promise.all(Array.from({ length: busyCount }, create))
    times.ours.push(performance.now() - from)
    await Promise.all(agents.map((agent) => agent.terminate()))
    await new Promise((resolve) => setTimeout(resolve, 2_000)) // wait until warm interpreters and pooled sandboxes are ready
  }
  const [ours, bare] = [times.ours, times.bare].map((list) =>
    percentile(
      list.toSorted((a, b) => a - b),
      50,
    ),
  )
  const what = `sandbox: ${busyCount} concurrent creates, each with one \`echo\``
  const peer = `${busyCount} bare bwrap python3 -c 'print(1)'`
  return timeRow(what, ours ?? Number.NaN, peer, bare ?? Number.NaN, '<= 2')
}

const bareSandbox = (
  '--unshare-all --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 ' +
  '--proc /proc --dev /dev --tmpfs /tmp /usr/bin/python3 -c print(1)'
).split(' ')

/** Available memory of the whole machine, so that shared pages count once. */
function availableBytes(): number {
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) * 1024
}

/** Private memory of a bare Python interpreter, in MiB. */
function bareMiB(): number {
  const program = "print(next(line for line in open('/proc/self/status') if line.startswith('RssAnon')).split()[1])"
  return Number(execFileSync('/usr/bin/python3', ['-c', program], { encoding: 'utf8' })) / 1024
}
