import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { percentile, type Row, timeRow } from './measure.ts'

const limitBytes = 12 * 1024

/** The size of core's root entry, and the time to import it compared with its only dependency. */
export async function sizeRows(): Promise<Row[]> {
  const { entry, onDemand } = await rootEntryBytes()
  const times: [number[], number[]] = [[], []]
  for (let round = 0; round < 30; round += 1) {
    times[0].push(importMs('@theazo/core'))
    times[1].push(importMs('eventsource-parser'))
  }
  const [ours = Number.NaN, theirs = Number.NaN] = times.map((list) => {
    const sorted = list.toSorted((a, b) => a - b)
    return percentile(sorted, 50)
  })
  const what = `root entry of core, min + gzip (streams and files, ${kib(onDemand)}, load on first use)`
  const ratio = entry / limitBytes
  return [
    { what, ours: kib(entry), peer: 'the limit', theirs: kib(limitBytes), ratio, goal: '<= 1' },
    timeRow('import of core', ours, 'import of eventsource-parser', theirs, 'ours <= 15 ms'),
  ]
}

/** Minified and gzipped bytes that a program loads when it imports core, and the bytes that it loads on first use. */
async function rootEntryBytes(): Promise<{ entry: number; onDemand: number }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve('@theazo/core'))],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    target: 'es2024',
    outdir: 'out',
    write: false,
    metafile: true,
  })
  const outputs = metafile.outputs
  const loaded = ['out/index.js']
  for (const path of loaded) {
    for (const { path: imported, kind } of outputs[path]?.imports ?? []) {
      if (kind === 'import-statement' && !loaded.includes(imported)) loaded.push(imported)
    }
  }
  let [entry, onDemand] = [0, 0]
  for (const { path, contents } of outputFiles) {
    const bytes = gzipSync(contents, { level: 9 }).length
    if (loaded.some((name) => path.endsWith(`/${name}`))) entry += bytes
    else onDemand += bytes
  }
  return { entry, onDemand }
}

/** Import time in a new process, as at the start of a program. */
function importMs(name: string): number {
  const url = JSON.stringify(import.meta.resolve(name))
  const code = `const t = performance.now(); await import(${url}); process.stdout.write(String(performance.now() - t))`
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }))
}

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`
}
