#!/usr/bin/env node
import { nodeVersionError } from './commands/node-version.ts'

// The other modules load after this check: an older Node cannot parse them.
const versionError = nodeVersionError(process.versions.node, process.argv.includes('--local'))
if (versionError === undefined) {
  const { main } = await import('./main.ts')
  await main(process.argv.slice(2))
} else {
  process.stderr.write(`${versionError}\n`)
  process.exitCode = 1
}
