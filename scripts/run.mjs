// The entry of `npm start`, `npm run serve`, `npm run chat` and `npm test`: runs the setup if it is needed, then the program.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { run } from './run-process.mjs'
import { node, pnpm, root, SetupFailure, setUp } from './setup.mjs'

const programs = {
  async start(args) {
    await setUp({ forTests: false })
    return await run(node, [join(root, 'examples/quickstart/src/main.ts'), ...args])
  },
  async serve(args) {
    await setUp({ forTests: false })
    return await run(node, [join(root, 'packages/server/dist/bin.js'), 'serve', ...args])
  },
  async chat(args) {
    await setUp({ forTests: false })
    return await run(node, [join(root, 'examples/chat/src/main.ts'), ...args])
  },
  async test(args) {
    await setUp({ forTests: true })
    const checkCode = await pnpm('run', 'check')
    const tests = await runTests(args)
    const failed = tests.failed + (checkCode === 0 ? 0 : 1)
    if (checkCode !== 0) console.log('pnpm check failed; its output above states the reason.')
    console.log(`${tests.passed} passed, ${failed} failed${tests.skipped > 0 ? `, ${tests.skipped} skipped` : ''}`)
    return failed === 0 ? 0 : 1
  },
}

const [name, ...args] = process.argv.slice(2)
try {
  process.exitCode = await programs[name](args)
} catch (error) {
  if (!(error instanceof SetupFailure)) throw error
  process.stderr.write(`\n${error.message}\n`)
  process.exitCode = 1
}

async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-test-'))
  try {
    const path = join(folder, 'results.json')
    // Real processes on a machine that others may use: a test that fails runs once more, and is then named below.
    const reporters = ['--retry=1', '--reporter=default', '--reporter=json', `--outputFile.json=${path}`]
    const exitCode = await pnpm('run', 'test:only', ...reporters, ...args)
    const {
      numPassedTests: passed,
      numFailedTests,
      numPendingTests,
      numTodoTests,
      testResults,
    } = JSON.parse(readFileSync(path, 'utf8'))
    printRetried(testResults)
    printSlowest(testResults)
    // An error outside the tests (a file that does not load) fails the run although no test has failed.
    const failed = exitCode !== 0 && numFailedTests === 0 ? 1 : numFailedTests
    return { passed, failed, skipped: numPendingTests + numTodoTests }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Prints the tests that passed only at the second attempt, with the error of the first. Each is a bug of a test or worse. */
function printRetried(files) {
  const retried = files.flatMap(({ name, assertionResults }) => {
    const passed = assertionResults.filter(
      ({ status, failureMessages }) => status === 'passed' && failureMessages.length > 0,
    )
    return passed.map(
      ({ fullName, failureMessages }) => `${relative(root, name)} > ${fullName}\n    ${failureMessages[0]}`,
    )
  })
  if (retried.length === 0) return
  console.log(`\n${retried.length} passed only at the second attempt:`)
  for (const text of retried) console.log(`  ${text}`)
}

/** Prints the ten slowest test files, so that the cost of a new test is visible. */
function printSlowest(files) {
  const timed = files.map(({ name, startTime, endTime }) => ({ name, seconds: (endTime - startTime) / 1000 }))
  const slowest = timed.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10)
  console.log('\nThe slowest test files:')
  for (const { name, seconds } of slowest) console.log(`${seconds.toFixed(0).padStart(6)} s  ${relative(root, name)}`)
}
