// The output of code, streamed and in the result.
import type { Agent } from '@theazo/core'
import { expect, test } from 'vitest'
import { isSoak } from '../support/soak.ts'
import { withLocalAgent } from '../support/local-agent.ts'

let agent: Agent
withLocalAgent((opened) => void (agent = opened))

const mebi = 1024 * 1024
const capBytes = 10 * mebi

test.each([
  ['python', 'import os\nfor byte in "é😀字".encode() * 3: os.write(1, bytes([byte])); os.write(2, bytes([byte]))'],
  [
    'typescript',
    "import { writeSync } from 'node:fs'\nfor (const byte of Buffer.from('é😀字'.repeat(3))) for (const fd of [1, 2]) writeSync(fd, Buffer.from([byte]))",
  ],
  [
    'bash',
    String.raw`for _ in 1 2 3; do for byte in c3 a9 f0 9f 98 80 e5 ad 97; do printf "\x$byte"; printf "\x$byte" >&2; done; done`,
  ],
] as const)(
  'a character that %s writes byte by byte arrives in one chunk, and the chunks form the result',
  async (lang, code) => {
    const pieces = { stdout: [] as string[], stderr: [] as string[] }
    const result = await agent.exec(lang, code, {
      onStdout: (text) => void pieces.stdout.push(text),
      onStderr: (text) => void pieces.stderr.push(text),
    })
    const text = 'é😀字'.repeat(3)
    expect(result).toMatchObject({ stdout: text, stderr: text, exitCode: 0 })
    expect([pieces.stdout.join(''), pieces.stderr.join('')]).toEqual([text, text])
    expect(pieces.stdout.concat(pieces.stderr).join('')).not.toContain('\ufffd')
  },
)

test('output is emitted while the code still runs', async () => {
  const received: string[] = []
  const code = 'echo begun; until [[ -e received ]]; do sleep 0.01; done; echo ended'
  const result = await agent.exec('bash', code, {
    onStdout: async (text) => {
      received.push(text)
      if (text.includes('begun')) await agent.exec('bash', 'touch received')
    },
  })
  expect(received.join('')).toBe('begun\nended\n')
  expect(result.stdout).toBe('begun\nended\n')
})

test.each([
  ['python', 'for n in range(100_000): print(n, end=" ")'],
  ['typescript', 'for (let n = 0; n < 100_000; n++) process.stdout.write(`${n} `)'],
  ['bash', 'for ((n = 0; n < 100000; n += 1)); do printf "%d " $n; done'],
] as const)('many short writes of %s arrive in few chunks', async (lang, code) => {
  let pieces = 0
  const { stdout } = await agent.exec(lang, code, { onStdout: () => void (pieces += 1) })
  expect(stdout).toBe(Array.from({ length: 100_000 }, (_, n) => `${n} `).join(''))
  expect(pieces).toBeLessThan(10_000)
})

test.each([
  ['python', 'import sys\nfor n in range(300_000): print(n)'],
  ['typescript', 'for (let n = 0; n < 300_000; n++) console.log(n)\nprocess.exit(0)'],
  ['bash', 'seq 0 299999'],
] as const)('all output of %s arrives in order, also from just before its exit', async (lang, code) => {
  const { stdout, exitCode } = await agent.exec(lang, code)
  const expected = Array.from({ length: 300_000 }, (_, n) => `${n}\n`).join('')
  expect(stdout === expected).toBe(true)
  expect(exitCode).toBe(0)
})

test('process.exit loses nothing of one large write', async () => {
  const { stdout } = await agent.exec(
    'typescript',
    "process.stdout.write('x'.repeat(3_000_000) + 'end'); process.exit(0)",
  )
  expect([stdout.length, stdout.slice(-3)]).toEqual([3_000_003, 'end'])
})

test.each([
  [capBytes, undefined],
  [capBytes + 1, true],
])(
  'of %i bytes in each stream, at most 10 MiB are returned, and a flag shows whether output is missing',
  async (sizeBytes, isCut) => {
    const code = `head -c ${sizeBytes} /dev/zero | tr '\\0' a; head -c ${sizeBytes} /dev/zero | tr '\\0' b >&2; exit 3`
    const result = await agent.exec('bash', code)
    expect([result.stdout.length, result.stderr.length, result.exitCode]).toEqual([capBytes, capBytes, 3])
    expect([result.stdoutTruncated, result.stderrTruncated]).toEqual([isCut, isCut])
  },
)

test('the output limit never splits a character', async () => {
  const { stdout, stdoutTruncated } = await agent.exec(
    'bash',
    `printf x; yes 字 | tr -d '\\n' | head -c ${capBytes + 99}`,
  )
  expect(stdoutTruncated).toBe(true)
  expect(stdout.startsWith('x字字')).toBe(true)
  expect(stdout).not.toContain('\ufffd')
  expect(Buffer.byteLength(stdout)).toBeGreaterThan(capBytes - 4)
})

test('each byte that is not valid UTF-8 is replaced, in every language, also at the end', async () => {
  const programs = [
    ['python', 'import os; os.write(1, b"a\\xff\\xc3b\\xe2\\x82")'],
    ['typescript', 'process.stdout.write(Buffer.from([0x61, 0xff, 0xc3, 0x62, 0xe2, 0x82]))'],
    ['bash', String.raw`printf 'a\xff\xc3b\xe2\x82'`],
  ] as const
  for (const [lang, code] of programs) expect((await agent.exec(lang, code)).stdout).toBe('a\ufffd\ufffdb\ufffd')
})

test('a flood of output uses little memory, and the server answers other requests meanwhile', async () => {
  const floodBytes = isSoak ? 10 * 1024 * mebi : 1024 * mebi
  const before = process.memoryUsage.rss()
  let mostBytes = before
  const watching = setInterval(() => (mostBytes = Math.max(mostBytes, process.memoryUsage.rss())), 50)
  try {
    const code = `head -c ${floodBytes} /dev/zero | tr '\\0' x; touch flooded; exit 4`
    const flood = agent.exec('bash', code)
    const others: string[] = []
    const over = flood.then(() => true)
    while (!(await Promise.race([over, Promise.resolve(false)]))) {
      others.push((await agent.exec('bash', '[[ -e flooded ]] || echo meanwhile')).stdout)
    }
    const { stdout, stdoutTruncated, exitCode } = await flood
    expect([stdout.length, stdoutTruncated, exitCode]).toEqual([capBytes, true, 4])
    expect(others.filter((text) => text === 'meanwhile\n').length).toBeGreaterThan(0)
  } finally {
    clearInterval(watching)
  }
  expect(mostBytes - before).toBeLessThan(400 * mebi)
})
