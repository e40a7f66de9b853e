import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SandboxManager } from '@anthropic-ai/sandbox-runtime'
import { type Language, Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import type { Sandbox } from '../../packages/server/dist/compute/compute-provider.js'
import { createLocalProvider } from '../../packages/server/dist/compute/local/local-provider.js'
import { openDataFolder } from '../../packages/server/dist/data-folder.js'
import { startContainer } from './docker.ts'
import { alternate, percentile, type Row, timeRow } from './measure.ts'

const programs = {
  bash: { code: 'echo 4', file: 'main.sh', command: ['/bin/bash'], goal: 'ours <= 3 ms' },
  python: { code: 'print(2 + 2)', file: 'main.py', command: ['/usr/bin/python3'], goal: 'ours <= 3 ms, < 1' },
  typescript: {
    code: 'const four: number = 4\nconsole.log(four)',
    file: 'main.ts',
    command: [process.execPath],
    goal: 'ours <= 10 ms, < 1',
  },
} as const
const languages = Object.keys(programs) as Language[]
/** Pause before each exec, so that a warm interpreter is ready. */
const pauseMs = 200

/** Sandboxes compared with the same programs on the host without a sandbox, and with other sandboxes. */
export async function sandboxRows(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-bench-'))
  for (const { file, code } of Object.values(programs)) writeFileSync(join(folder, file), code)
  const data = await openDataFolder(undefined)
  const provider = await createLocalProvider({ ...data, onError: console.error })
  try {
    const sandbox = await provider.create({ project: 'bench', id: 'bench' })
    const rows = [...(await machineRows(folder)), ...(await warmRows(sandbox, folder))]
    rows.push(
      await throughputRow(sandbox, folder),
      await filesRow(await provider.create({ project: 'bench', id: 'files' }), sandbox),
    )
    for (const peer of [await otherSandboxRow(sandbox), await dockerRow(sandbox)]) if (peer) rows.push(peer)
    return [...rows, ...(await overHttpRows())]
  } finally {
    await provider[Symbol.asyncDispose]()
    await data[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  }
}

async function run(sandbox: Sandbox, lang: Language, code: string): Promise<void> {
  let out = ''
  const collect = (chunk: Uint8Array): void => void (out += Buffer.from(chunk).toString())
  const request = { lang, code, maxOutputBytes: 1_000_000 }
  await sandbox.exec(request, { stdout: collect, stderr: collect }, new AbortController().signal)
  if (out !== '4\n') throw new Error(`${lang} printed ${out}`)
}

/** This machine compared with the machine for which the goals in milliseconds were set: bare interpreters, started by a shell. */
async function machineRows(folder: string): Promise<Row[]> {
  const count = 20
  const rows: Row[] = []
  for (const [lang, referenceMs] of [
    ['python', 10.9],
    ['typescript', 62],
  ] as const) {
    const { command, file } = programs[lang]
    const script = `for ((n = 0; n < ${count}; n++)); do "$@" > /dev/null; done`
    const startedAt = performance.now()
    await once(
      spawn('/bin/bash', ['-c', script, 'bash', ...command, join(folder, file)], { stdio: 'inherit' }),
      'close',
    )
    const thisMachineMs = (performance.now() - startedAt) / count
    rows.push(
      timeRow(`machine: a bare ${lang} program, mean`, thisMachineMs, 'the machine of the goals in ms', referenceMs),
    )
  }
  return rows
}

async function bare(lang: Language, folder: string): Promise<void> {
  const { command, file } = programs[lang]
  const child = spawn(command[0], [join(folder, file)], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.resume()
  child.stderr.resume()
  await once(child, 'close')
}

/** One exec at a time, with `Sandbox.exec`. */
async function warmRows(sandbox: Sandbox, folder: string): Promise<Row[]> {
  const rows: Row[] = []
  for (const lang of languages) {
    const { code, goal } = programs[lang]
    const [ours, theirs] = await restedMedians(
      () => run(sandbox, lang, code),
      () => bare(lang, folder),
    )
    rows.push(timeRow(`sandbox: warm exec of ${lang}, p50`, ours, 'bare on the host', theirs, goal))
  }
  return rows
}

/** The medians of two functions that are called alternately, each after a pause. */
async function restedMedians(mine: () => Promise<void>, its: () => Promise<void>): Promise<[number, number]> {
  const [ours, theirs]: [number[], number[]] = [[], []]
  for (let round = -3; round < 40; round += 1) {
    const times: [number, number] = [await rested(mine), await rested(its)]
    if (round < 0) continue
    ours.push(times[0])
    theirs.push(times[1])
  }
  return [median(ours), median(theirs)]
}

async function rested(work: () => Promise<void>): Promise<number> {
  await sleep(pauseMs)
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

function median(times: readonly number[]): number {
  return percentile(
    times.toSorted((a, b) => a - b),
    50,
  )
}

/** TypeScript execs without pauses: no warm process is ready in time, so the rate depends on how fast Node starts. */
async function throughputRow(sandbox: Sandbox, folder: string): Promise<Row> {
  const count = 30
  const rate = async (work: () => Promise<void>): Promise<number> => {
    const startedAt = performance.now()
    for (let n = 0; n < count; n += 1) await work()
    return (count * 1000) / (performance.now() - startedAt)
  }
  const ratios: [number, number][] = []
  for (let round = 0; round < 3; round += 1) {
    ratios.push([
      await rate(() => run(sandbox, 'typescript', programs.typescript.code)),
      await rate(() => bare('typescript', folder)),
    ])
  }
  const [ours = 0, theirs = 1] = ratios.toSorted(([a, b], [c, d]) => a / b - c / d)[1] ?? []
  return {
    what: 'sandbox: typescript back to back',
    ours: `${ours.toFixed(1)} /s`,
    peer: 'bare on the host',
    theirs: `${theirs.toFixed(1)} /s`,
    ratio: ours / theirs,
    goal: '>= 0.9',
  }
}

/** The time that an exec needs to find changed files: one sandbox contains 1,000 files, the other none. */
async function filesRow(full: Sandbox, empty: Sandbox): Promise<Row> {
  await run(full, 'bash', 'mkdir -p many/{0..9}; for n in {0..999}; do : > many/$((n % 10))/$n; done; echo 4')
  const [ours, theirs] = await restedMedians(
    () => run(full, 'bash', 'echo 4'),
    () => run(empty, 'bash', 'echo 4'),
  )
  const what = 'sandbox: warm exec of bash with 1,000 files, p50'
  return timeRow(what, ours, 'without files', theirs, '<= 4 ms more')
}

/** Another sandbox that uses the same bubblewrap. Returns undefined if it does not run on this machine. */
async function otherSandboxRow(sandbox: Sandbox): Promise<Row | undefined> {
  const filesystem = { denyRead: [], allowWrite: [tmpdir()], denyWrite: [] }
  try {
    await SandboxManager.initialize({ network: { allowedDomains: [], deniedDomains: [] }, filesystem })
  } catch (error) {
    console.error(`@anthropic-ai/sandbox-runtime is skipped: ${String(error)}`)
    return undefined
  }
  const [mine = [], its = []] = await alternate(30, () => run(sandbox, 'bash', 'echo 4'), otherSandbox)
  await SandboxManager.reset()
  const [ours, peer] = [percentile(mine, 50), percentile(its, 50)]
  const row = timeRow('sandbox: exec of bash back to back, p50', ours, '@anthropic-ai/sandbox-runtime', peer)
  return { ...row, goal: '<= 0.125' }
}

async function dockerRow(sandbox: Sandbox): Promise<Row | undefined> {
  using container = startContainer()
  if (!container) {
    console.error('docker exec is skipped: docker does not run on this machine')
    return undefined
  }
  const [mine = [], its = []] = await alternate(
    30,
    () => run(sandbox, 'bash', 'echo 4'),
    () => container.echo(),
  )
  const [ours, peer] = [percentile(mine, 50), percentile(its, 50)]
  return { ...timeRow('sandbox: exec of bash compared with docker, p50', ours, 'docker exec', peer), goal: '<= 0.067' }
}

async function otherSandbox(): Promise<void> {
  const child = spawn(await SandboxManager.wrapWithSandbox('echo 4'), { shell: true, stdio: 'pipe' })
  let out = ''
  child.stdout.on('data', (chunk) => (out += chunk))
  await once(child, 'close')
  if (out !== '4\n') throw new Error(`the other sandbox printed ${out}`)
}

/** Execs through our client and the whole server, in-process. */
async function overHttpRows(): Promise<Row[]> {
  const rows: Row[] = []
  {
    await using local = await createLocalTheazo()
    const session = await new Theazo(local).sessions.forUser('bench')
    await using agent = await session.agents.create()
    for (const lang of languages) {
      const times: number[] = []
      for (let n = -3; n < 25; n += 1) {
        await sleep(pauseMs)
        const startedAt = performance.now()
        const { durationMs } = await agent.exec(lang, programs[lang].code)
        if (n >= 0) times.push(performance.now() - startedAt)
        if (Number.isNaN(durationMs)) throw new Error('no duration')
      }
      const sorted = times.toSorted((a, b) => a - b)
      const what = `sandbox: warm exec of ${lang} with our client, p50`
      rows.push(timeRow(what, percentile(sorted, 50), 'p95', percentile(sorted, 95)))
    }
  }
  for (const [poolSize, goal] of [
    [0, 'ours <= 40 ms'],
    [1, 'ours <= 8 ms'],
  ] as const) {
    await using local = await createLocalTheazo({ sandbox: { poolSize } })
    const session = await new Theazo(local).sessions.forUser('bench')
    const times: number[] = []
    for (let n = -2; n < 20; n += 1) {
      await sleep(500) // wait until the pool is full again
      const startedAt = performance.now()
      const agent = await session.agents.create()
      await agent.exec('bash', 'echo 4')
      if (n >= 0) times.push(performance.now() - startedAt)
      await agent.terminate()
    }
    const sorted = times.toSorted((a, b) => a - b)
    const what = `sandbox: create and first exec, ${poolSize === 0 ? 'cold' : 'from the pool'}, p50`
    rows.push(timeRow(what, percentile(sorted, 50), 'p95', percentile(sorted, 95), goal))
  }
  return rows
}
