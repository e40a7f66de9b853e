import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

/** The standard error of a separate process. */
function stderrOf(program: string): string {
  const url = new URL('./log-lines.ts', import.meta.url)
  const code = `import { logLines } from '${url}'\nconst log = logLines()\n${program}`
  return spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }).stderr
}

const lines = Array.from({ length: 1000 }, (_, index) => `{"line":${index}}`)
const writeAll = `for (let index = 0; index < 1000; index += 1) log.write('{"line":' + index + '}\\n')\n`

test('writes every line once and in order', () => {
  expect(stderrOf(`${writeAll}log.flush()`).trim().split('\n')).toEqual(lines)
})

test('writes lines without a flush', () => {
  const program = `log.write('early\\n'); setTimeout(() => process.kill(process.pid, 'SIGKILL'), 2000)`
  expect(stderrOf(program)).toBe('early\n')
})

test('writes the last lines when a fault ends the process', () => {
  const text = stderrOf(`log.write('last\\n'); throw new Error('a fault')`)
  expect(text).toMatch(/^last$/m)
})
