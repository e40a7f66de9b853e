/**
 * Measures against a peer in the same run and writes the table to docs/benchmarks.md.
 *
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { clientRows } from './client.ts'
import { manyAgentsRows } from './many-agents.ts'
import { sandboxRows } from './sandbox.ts'
import { sizeRows } from './size.ts'
import { serverRows } from './server.ts'
import { bridgeRows, concurrentRows } from './streams.ts'

const rows = [
  ...(await clientRows()),
  ...(await bridgeRows()),
  ...(await concurrentRows()),
  ...(await sizeRows()),
  ...(await sandboxRows()),
  ...(await manyAgentsRows()),
  ...(await serverRows()),
]
const table = [
  '| what | ours | beside | its | ratio | goal |',
  '|---|---|---|---|---|---|',
  ...rows.map(({ what, ours, peer, theirs, ratio, goal = '' }) => {
    return `| ${what} | ${ours} | ${peer} | ${theirs} | ${ratio.toFixed(2)} | ${goal} |`
  }),
].join('\n')
console.log(table)

const path = new URL('../../docs/benchmarks.md', import.meta.url)
const marker = '<!-- results -->'
const [head = ''] = readFileSync(path, 'utf8').split(marker)
writeFileSync(path, `${head}${marker}\n\nNode ${process.version}, ${cpus().length} cores.\n\n${table}\n`)
