import { createHash, randomBytes } from 'node:crypto'
import type { RunCodeInput } from '@theazo/core/tools'

/** One small task for a sandbox; a fresh nonce makes its results impossible to have been prepared. */
export interface Task {
  nonce: string
  /** For a real model. */
  prompt: string
  /** What the scripted model calls, in this order. */
  calls: RunCodeInput[]
}

export function newTask(): Task {
  const nonce = randomBytes(16).toString('hex')
  return {
    nonce,
    prompt: [
      'Use the run_code tool three times, once for each step, and print every result:',
      `1. Python: compute the SHA-256 of the text "${nonce}" as lower-case hex, write it to /workspace/digest.txt without a line end, and print it.`,
      '2. Bash: print /workspace/digest.txt, then a line end, then /proc/self/uid_map.',
      '3. TypeScript: read /workspace/digest.txt and print its text reversed.',
      'Then answer with the digest and the reversed digest.',
    ].join('\n'),
    calls: [
      {
        language: 'python',
        code: [
          'import hashlib, pathlib',
          `digest = hashlib.sha256(b"${nonce}").hexdigest()`,
          'pathlib.Path("digest.txt").write_text(digest)',
          'print(digest)',
        ].join('\n'),
      },
      { language: 'bash', code: 'cat digest.txt; echo; cat /proc/self/uid_map' },
      {
        language: 'typescript',
        code: [
          "import { readFileSync } from 'node:fs'",
          "const digest: string = readFileSync('digest.txt', 'utf8')",
          "console.log([...digest].reverse().join(''))",
        ].join('\n'),
      },
    ],
  }
}

/** Recomputes the task here and looks whether the sandbox printed the same. */
export function isSolved(task: Task, outputs: readonly string[]): boolean {
  const digest = createHash('sha256').update(task.nonce).digest('hex')
  const reversed = [...digest].toReversed().join('')
  const printed = outputs.join('\n')
  return printed.includes(digest) && printed.includes(reversed) && /^\s*\d+\s+[1-9]\d*\s+\d+$/m.test(printed)
}
