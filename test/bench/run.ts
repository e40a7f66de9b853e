/**
 * Measures Theazo and its peers in the same run and writes the table to docs/benchmarks.md. With names of groups as
 * arguments, it measures only these and writes nothing.
 *
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { aiSdkRows } from './ai-sdk.ts'
import { clientRows } from './client.ts'
import { engineRows } from './engine.ts'
import { langChainRows } from './langchain.ts'
import { burstRow, busyRow, idleRow } from './many-agents.ts'
import { mcpRows } from './mcp.ts'
import type { Row } from './measure.ts'
import { sandboxRows } from './sandbox.ts'
import { sizeRows } from './size.ts'
import { serverRows } from './server.ts'
import { bridgeRows, concurrentRows } from './streams.ts'

const groups: Record<string, () => Promise<Row[]>> = {
  client: clientRows,
  bridge: bridgeRows,
  streams: concurrentRows,
  'ai-sdk': aiSdkRows,
  engine: engineRows,
  size: sizeRows,
  sandbox: sandboxRows,
  LangChain: langChainRows,
  'idle agents': async () => [await idleRow()],
  'busy agents': async () => [await busyRow()],
  'a burst of agents': async () => [await burstRow()],
  server: serverRows,
  mcp: mcpRows,
}
/** The names of the groups to measure; without names, all of them. */
const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in groups))
if (unknown.length > 0)
  throw new Error(`There is no group ${unknown.join(', ')}; there are ${Object.keys(groups).join(', ')}.`)

const rows: Row[] = []
for (const [name, measure] of Object.entries(groups)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  try {
    rows.push(...(await measure()))
  } catch (error) {
    // One failed group must not discard the results of the others.
    console.error(`${name}:`, error)
    process.exitCode = 1
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
    rows.push({ what: name, ours: `failed: ${reason.replaceAll('|', '/')}`, peer: '', theirs: '', ratio: Number.NaN })
  }
}
const table = [
  '| measurement | ours | peer | theirs | ratio | goal |',
  '|---|---|---|---|---|---|',
  ...rows.map(({ what, ours, peer, theirs, ratio, goal = '' }) => {
    return `| ${what} | ${ours} | ${peer} | ${theirs} | ${Number.isNaN(ratio) ? '' : ratio.toFixed(2)} | ${goal} |`
  }),
].join('\n')
console.log(table)

if (wanted.length === 0) {
  const path = new URL('../../docs/benchmarks.md', import.meta.url)
  const marker = '<!-- results -->'
  const [head = ''] = readFileSync(path, 'utf8').split(marker)
  writeFileSync(path, `${head}${marker}\n\nNode ${process.version}, ${cpus().length} cores.\n\n${table}\n`)
}
