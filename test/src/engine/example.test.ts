// The program of examples/orchestrator, with its scripted model and with a provider's protocol.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { root } from '../support/server-process.ts'
import { bash, startModels } from './scripted-models.ts'

const program = join(root, 'examples/orchestrator/src/main.ts')

async function outputOf(environment: Record<string, string>): Promise<string> {
  const env = { PATH: process.env['PATH'] ?? '', ...environment }
  return (await promisify(execFile)(process.execPath, [program], { env, timeout: 60_000 })).stdout
}

test('the program pauses, starts another server, approves a call and prints the answer', async () => {
  const out = await outputOf({})
  expect(out).toMatch(/> run_code[^]*The server ends[^]*- paused[^]*- running[^]*< 55/)
  expect(out).toMatch(/paused \(approval_required\)[^]*approved by this program[^]*< Deleted squares\.txt/)
  expect(out).toContain('Answer: The sum of the squares is 55. squares.txt is deleted.')
  expect(out.match(/squares\.txt \(12 bytes\)/g)).toHaveLength(1)
  expect(out).toContain('Tokens: 4000 in, 400 out.')
})

test('with a key, that provider is asked, and the cost is of its prices', async () => {
  await using models = await startModels(({ results }) => {
    const usage = { input_tokens: 1_000_000, output_tokens: 0 }
    return results.length === 0 ? { ...bash('echo 55'), usage } : { content: 'It is 55.', usage }
  })
  const out = await outputOf({ ...models.environment, ORCHESTRATOR_MODEL: 'claude-3-5-haiku-20241022' })
  expect(out).toContain('Model: claude-3-5-haiku-20241022')
  expect(out).toContain('Answer: It is 55.')
  // Two steps of a million tokens, at 0.80 dollars each.
  expect(out).toContain('Cost: 1.6 USD.')
})
