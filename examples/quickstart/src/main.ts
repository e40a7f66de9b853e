import { createWriteStream, writeFileSync } from 'node:fs'
import { parseArgs, styleText } from 'node:util'
import { SetupError } from '@theazo/server'
import type { Step } from './framework-run.ts'
import { chooseModel } from './models.ts'
import { type CheckedRun, quickstart } from './quickstart.ts'

const { values } = parseArgs({
  options: {
    'server-log': { type: 'string' }, // path of a file for the log lines of the embedded server
    report: { type: 'string' }, // path of a file for the results of all runs, as JSON
  },
})
const dim = (text: string): string => styleText('dim', text)
const bold = (text: string): string => styleText('bold', text)

process.exitCode = await main()

async function main(): Promise<number> {
  const stop = new AbortController()
  let exitCode = 0
  // The first signal stops the run and cleans up. With Ctrl-C the same signal often arrives again from a parent process.
  for (const [name, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
    process.on(name, () => {
      exitCode ||= code
      stop.abort(new Error(`stopped by ${name}`))
    })
  }
  const model = chooseModel(process.env)
  console.log(
    bold('\nTheazo quickstart') +
      ': three frameworks and the server itself run the same task, each in an isolated sandbox.',
  )
  console.log(
    model
      ? `Model: ${model.provider} ${model.id}.`
      : 'Model: scripted, because neither ANTHROPIC_API_KEY nor OPENAI_API_KEY is set. The sandboxes and their output are real.',
  )
  try {
    const runs = await quickstart({
      model,
      signal: stop.signal,
      onFramework: (name) => console.log(`\n${bold(name)}`),
      onStep: printStep,
      log: values['server-log'] ? createWriteStream(values['server-log']) : undefined,
    })
    printSummary(runs)
    if (values.report) {
      writeFileSync(values.report, JSON.stringify(runs.map(({ task, ...run }) => ({ ...run, nonce: task.nonce }))))
    }
    if (!runs.every(({ isSolved }) => isSolved)) return 1
    printNextSteps()
    return 0
  } catch (error) {
    if (exitCode !== 0) {
      console.error(`\nStopped. All sandboxes were terminated.`)
      return exitCode
    }
    if (!(error instanceof SetupError)) throw error
    console.error(`\nThe quickstart cannot run on this machine: ${error.message}`)
    return 1
  }
}

function printStep({ tool, subject, output, milliseconds }: Step): void {
  const time = `${milliseconds.toFixed(0)} ms`.padStart(8)
  console.log(`  ${tool.padEnd(10)} ${subject.padEnd(10)} ${dim(time)}`)
  for (const line of output.trimEnd().split('\n')) console.log(`    ${line}`)
}

function printSummary(runs: readonly CheckedRun[]): void {
  const rows = runs.map((run) => [
    run.framework,
    run.agentId,
    `${run.steps.length}`,
    `${run.milliseconds.toFixed(0)} ms`,
    run.isSolved ? 'correct' : 'WRONG',
    run.cost ? `${(run.cost.amount / 100).toFixed(2)} USD` : '',
  ])
  const table = [['framework', 'agent', 'calls', 'time', 'result', 'cost'], ...rows]
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? []
  console.log()
  for (const [index, row] of table.entries()) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
    console.log(index === 0 ? bold(line.trimEnd()) : line.trimEnd())
  }
}

function printNextSteps(): void {
  const root = new URL('../../../', import.meta.url).pathname
  const node = `${root}node_modules/node/bin/node`
  const claude = { mcpServers: { theazo: { command: node, args: [`${root}packages/mcp/dist/bin.js`, '--local'] } } }
  console.log(`
${bold('Next steps')}
  Claude Desktop: add this to claude_desktop_config.json and restart Claude Desktop
    ${JSON.stringify(claude)}
  Your app: start a server and connect @theazo/core to it (README.md has an example for each framework)
    npm run -s serve -- --data-dir ./theazo-data
  A real model: set an API key
    ANTHROPIC_API_KEY=… npm start`)
}
