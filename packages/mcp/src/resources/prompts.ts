import type { GetPromptResult, Prompt } from '../mcp-types.ts'
import { RequestError } from '../request-error.ts'

interface PromptDefinition extends Prompt {
  toText: (values: Record<string, string>) => string
}

/** The cap on the characters of one argument. */
const maxArgumentChars = 10_000

const prompts: readonly PromptDefinition[] = [
  {
    name: 'analyze_file',
    title: 'Analyse a file',
    description: 'Examine a data file in the sandbox, and answer a question about it.',
    arguments: [
      { name: 'path', description: 'Path of the file, such as /workspace/data.csv.', required: true },
      { name: 'question', description: 'What you want to know. Default: a summary.', required: false },
    ],
    toText: ({ path = '', question }) =>
      [
        `Analyse the file ${path} in the sandbox.`,
        question ? `Answer this question: ${question}` : 'Summarise what it contains.',
        'First look at its size and its first lines. Then compute with run_code in Python; do not guess numbers.',
        'If a chart helps, save it as a PNG file in /workspace, so that it is shown.',
        'At the end state what you computed and how sure the answer is.',
      ].join('\n'),
  },
  {
    name: 'fix_and_test',
    title: 'Fix and test',
    description: 'Run a test command in the sandbox, and change the code until it succeeds.',
    arguments: [
      { name: 'command', description: 'The test command, such as npm test.', required: true },
      { name: 'folder', description: 'The folder of the project. Default /workspace.', required: false },
    ],
    toText: ({ command = '', folder = '/workspace' }) =>
      [
        `In the sandbox, run this command in ${folder || '/workspace'}: ${command}`,
        'If it fails, find the cause, change the code with edit_file, and run the command again, until it succeeds.',
        'Change the code, not the tests, unless a test is wrong; then say why.',
        'If a call answers "still running", continue it with wait.',
        'At the end show the output of the last run and list what you changed.',
      ].join('\n'),
  },
]

/** Commands that `fix_and_test` suggests. */
export const testCommands: readonly string[] = ['cargo test', 'go test ./...', 'make test', 'npm test', 'pytest']

/** The prompts for work in the sandbox. */
export const listedPrompts: readonly Prompt[] = prompts.map(({ toText: _toText, ...prompt }) => prompt)

/** The messages of a prompt. @throws {RequestError} for an unknown prompt, and for arguments that it cannot use. */
export function getPrompt(name: string, values: Record<string, string> = {}): GetPromptResult {
  const prompt = prompts.find((known) => known.name === name)
  if (!prompt) {
    const valid = prompts.map(({ name }) => name).join(', ')
    throw new RequestError('invalid', `There is no prompt '${name}'. Valid: ${valid}.`)
  }
  const missing = prompt.arguments.filter(({ name, required }) => required && !values[name]?.trim())
  if (missing.length > 0)
    throw new RequestError('invalid', `${name} needs ${missing.map(({ name }) => name).join(' and ')}.`)
  const tooLong = Object.entries(values).find(([, value]) => value.length > maxArgumentChars)
  if (tooLong) throw new RequestError('invalid', `${tooLong[0]} has more than ${maxArgumentChars} characters.`)
  return {
    description: prompt.description,
    messages: [{ role: 'user', content: { type: 'text', text: prompt.toText(values) } }],
  }
}
