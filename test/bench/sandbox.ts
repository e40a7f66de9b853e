import { execFileSync } from 'node:child_process'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { alternate, percentile, type Row, timeRow } from './measure.ts'

/** One exec in a sandbox, in-process, beside the same program started bare on the host. */
export async function sandboxRows(): Promise<Row[]> {
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
    const [ours = [], theirs = []] = await alternate(40, () => agent.exec(lang, code), bare)
    const what = `sandbox: exec of empty ${lang}, p50`
    rows.push(timeRow(what, percentile(ours, 50), `${lang} bare on the host`, percentile(theirs, 50)))
  }
  return rows
}
