import { createHash, randomBytes } from 'node:crypto'

/** One tool call of the scripted model. */
interface ScriptedCall {
  tool: 'run_code' | 'write_file' | 'read_file'
  input: Record<string, string>
}

/** A small task for a sandbox. Its random nonce guarantees that the results were not prepared in advance. */
export interface Task {
  nonce: string
  /** The prompt for a real model. */
  prompt: string
  /** The calls of the scripted model, in this order. */
  calls: ScriptedCall[]
}

export function newTask(): Task {
  const nonce = randomBytes(16).toString('hex')
  return {
    nonce,
    prompt: [
      'Work in your sandbox, one tool call for each step, and print every result:',
      `1. Write the text "${nonce}" to the file input.txt, without a line end (write_file).`,
      '2. In Python, compute the SHA-256 of that file as lower-case hex, write it to digest.txt, and print it (run_code).',
      '3. Read digest.txt (read_file).',
      '4. In Bash, print /proc/self/uid_map (run_code).',
      '5. In TypeScript, read digest.txt and print its text reversed (run_code).',
      'Then answer with the digest and the reversed digest.',
    ].join('\n'),
    calls: [
      { tool: 'write_file', input: { path: 'input.txt', content: nonce } },
      {
        tool: 'run_code',
        input: {
          language: 'python',
          code: [
            'import hashlib, pathlib',
            'digest = hashlib.sha256(pathlib.Path("input.txt").read_bytes()).hexdigest()',
            'pathlib.Path("digest.txt").write_text(digest)',
            'print(digest)',
          ].join('\n'),
        },
      },
      { tool: 'read_file', input: { path: 'digest.txt' } },
      { tool: 'run_code', input: { language: 'bash', code: 'cat /proc/self/uid_map' } },
      {
        tool: 'run_code',
        input: {
          language: 'typescript',
          code: [
            "import { readFileSync } from 'node:fs'",
            "const digest: string = readFileSync('digest.txt', 'utf8')",
            "console.log([...digest].reverse().join(''))",
          ].join('\n'),
        },
      },
    ],
  }
}

/**
 * Computes the expected results in this process and checks that the sandbox printed them. It also checks that a printed uid
 * map names a host user other than root, which shows that the code ran in a user namespace.
 */
export function isSolved(task: Task, outputs: readonly string[]): boolean {
  const digest = createHash('sha256').update(task.nonce).digest('hex')
  const reversed = [...digest].toReversed().join('')
  const printed = outputs.join('\n')
  return printed.includes(digest) && printed.includes(reversed) && /^\s*\d+\s+[1-9]\d*\s+\d+$/m.test(printed)
}
