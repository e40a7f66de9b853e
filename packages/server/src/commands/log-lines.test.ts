import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

/** What a process of its own has on standard error. */
function stderrOf(program: string): string {
  const url = new URL('./log-lines.ts', import.meta.url)
  const code = `import { logLines } from '${url}'\nconst log = logLines()\n${program}`
  return spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }).stderr
}

const lines = Array.from({ length: 1000 }, (_, index) => `{"line":${index}}`)
const writeAll = `for (let index = 0; index < 1000; index += 1) log.write('{"line":' + index + '}\\n')\n`

test('all lines come out once and in order', () => {
  expect(stderrOf(`${writeAll}log.flush()`).trim().split('\n')).toEqual(lines)
})

test('lines come out by themselves', () => {
  const program = `log.write('early\\n'); setTimeout(() => process.kill(process.pid, 'SIGKILL'), 2000)`
  expect(stderrOf(program)).toBe('early\n')
})

test('the last lines before a fault that ends the process are written', () => {
  const text = stderrOf(`log.write('last\\n'); throw new Error('a fault')`)
  expect(text).toMatch(/^last$/m)
})
