/**
 * Measures against a peer in the same run and writes the table to docs/benchmarks.md.
 *
 * @module
 */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus } from 'node:os'
import { execFileSync } from 'node:child_process'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'

interface Row {
  what: string
  ours: number
  peer: string
  theirs: number
}

const rows = [await clientAgainstFetch(), ...(await sandboxAgainstHost())]
const table = [
  '| what | ours, p50 ms | beside | its p50 ms | ratio |',
  '|---|---|---|---|---|',
  ...rows.map(({ what, ours, peer, theirs }) => {
    return `| ${what} | ${ours.toFixed(2)} | ${peer} | ${theirs.toFixed(2)} | ${(ours / theirs).toFixed(2)} |`
  }),
].join('\n')
console.log(table)

const path = new URL('../../docs/benchmarks.md', import.meta.url)
const marker = '<!-- results -->'
const [head = ''] = readFileSync(path, 'utf8').split(marker)
writeFileSync(path, `${head}${marker}\n\nNode ${process.version}, ${cpus().length} cores.\n\n${table}\n`)

/** One exec over loopback against a server that answers at once, beside bare fetch with the same body and deadline. */
async function clientAgainstFetch(): Promise<Row> {
  const answer = JSON.stringify({ stdout: '4\n', stderr: '', exitCode: 0, durationMs: 1 })
  const agent = JSON.stringify({ id: 'agt_1', sessionId: 'ses_1', status: 'idle' })
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(request.method === 'GET' ? agent : answer)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  try {
    const ours = await new Theazo({ apiKey: 'th_live_bench', baseUrl }).agents.get('agt_1')
    const code = 'print(2 + 2)'
    const bare = async (): Promise<unknown> => {
      const response = await fetch(`${baseUrl}/agents/agt_1/exec`, {
        method: 'POST',
        headers: { authorization: 'Bearer th_live_bench', 'content-type': 'application/json' },
        body: JSON.stringify({ lang: 'python', code }),
        signal: AbortSignal.timeout(130_000),
      })
      return await response.json()
    }
    const [us, them] = await alternate(2000, () => ours.exec('python', code), bare)
    return { what: 'client: one exec call', ours: us, peer: 'bare fetch', theirs: them }
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

/** One exec in a sandbox, in-process, beside the same program started bare on the host. */
async function sandboxAgainstHost(): Promise<Row[]> {
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('bench')
  await using agent = await session.agents.create()
  const programs = [
    { lang: 'bash', code: 'true', command: ['/bin/bash', '-c', 'true'] },
    { lang: 'python', code: 'pass', command: ['/usr/bin/python3', '-c', 'pass'] },
    { lang: 'typescript', code: '', command: [process.execPath, '-e', ''] },
  ] as const
  const rows: Row[] = []
  for (const { lang, code, command } of programs) {
    const [program, ...args] = command
    const bare = async (): Promise<unknown> => execFileSync(program, args)
    const [ours, theirs] = await alternate(40, () => agent.exec(lang, code), bare)
    rows.push({ what: `sandbox: exec of empty ${lang}`, ours, peer: `${lang} bare on the host`, theirs })
  }
  return rows
}

/** Medians in ms of two calls made in turn, so that both see the same machine; a tenth more goes before as warm-up. */
async function alternate(
  count: number,
  a: () => Promise<unknown>,
  b: () => Promise<unknown>,
): Promise<[number, number]> {
  const times: [number[], number[]] = [[], []]
  for (let round = -Math.ceil(count / 10); round < count; round += 1) {
    for (const [index, call] of [a, b].entries()) {
      const startedAt = performance.now()
      await call()
      if (round >= 0) times[index]?.push(performance.now() - startedAt)
    }
  }
  return [median(times[0]), median(times[1])]
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
