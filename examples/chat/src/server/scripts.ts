import { plotProgram } from './plot-program.ts'

/** One turn of the scripted model: a text, then perhaps a tool call. */
export interface Turn {
  text: string
  call?: { tool: string; input: Record<string, unknown> }
}

/** The turns for a question of the user. The last one answers. */
export function scriptFor(question: string): Turn[] {
  return scripts.find(({ words }) => words.test(question))?.turns ?? help
}

const python = (code: string) => ({ tool: 'run_code', input: { language: 'python', code } })

const countProgram = `import time

for number in range(1, 6):
    print(f"step {number} of 5", flush=True)
    time.sleep(0.2)
`

const longProgram = `import itertools, os, time

print(f"process {os.getpid()} has started", flush=True)
for second in itertools.count(1):
    print(f"{second} s", flush=True)
    time.sleep(1)
`

const notes = `# Notes

- The sandbox belongs to this chat.
- The user approved this file.
`

const scripts: { words: RegExp; turns: Turn[] }[] = [
  {
    words: /\b(plot|chart|image|graph)/i,
    turns: [
      { text: 'I compute the curves and draw them.', call: python(plotProgram) },
      { text: 'The plot shows two damped waves. The numbers are in `waves.csv`.' },
    ],
  },
  {
    words: /\b(long|forever|endless)/i,
    turns: [{ text: 'This runs until you stop it.', call: python(longProgram) }, { text: 'The job has ended.' }],
  },
  {
    words: /\b(delete|remove)/i,
    turns: [
      { text: 'I delete the notes if you approve.', call: { tool: 'delete_file', input: { path: 'notes.md' } } },
      { text: 'The notes are deleted.' },
    ],
  },
  {
    words: /\b(write|save|note)/i,
    turns: [
      {
        text: 'I write the notes if you approve.',
        call: { tool: 'write_file', input: { path: 'notes.md', content: notes } },
      },
      { text: 'The notes are saved. Download them above.' },
    ],
  },
  {
    words: /\b(count|steps?|live)\b/i,
    turns: [
      { text: 'I count, and you see each line as it is printed.', call: python(countProgram) },
      { text: 'Done: **5 steps**.' },
    ],
  },
]

const help: Turn[] = [
  {
    text: `I am a script, not a model: no API key is set. The sandbox is real. Ask me for one of these:

- **Plot** two waves: an image, and a CSV file
- **Count** to five: live output
- **Write** notes, then **delete** them: you approve or refuse
- A **long** job: press Stop`,
  },
]
