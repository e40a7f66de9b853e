#!/usr/bin/env node
import { nodeVersionFault } from './node-version.ts'

// All else is loaded after this check: an older Node cannot even read it.
const fault = nodeVersionFault(process.versions.node, process.argv.includes('--local'))
if (fault === undefined) {
  const { main } = await import('./main.ts')
  await main(process.argv.slice(2))
} else {
  process.stderr.write(`${fault}\n`)
  process.exitCode = 1
}
