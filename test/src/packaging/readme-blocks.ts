// The fenced code blocks of the READMEs, and the marks that keep a block from being run.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/server-process.ts'

/** What the test does with a block. The info string of the fence decides. */
type BlockKind = 'shell' | 'program' | 'component' | 'json' | 'output'

export interface ReadmeBlock {
  /** Path of the README in the repository. */
  readme: string
  /** Line of the opening fence, from 1. */
  line: number
  /** The info string, e.g. `ts`. */
  language: string
  kind: BlockKind
  text: string
  /** The paragraph before the block: it may state where to run the block. */
  prose: string
  /** File name of a program: from that paragraph, or from a comment on the first line. */
  fileName: string | undefined
  /** Reason of a `<!-- not run: reason -->` before the block. */
  notRun: string | undefined
}

const kinds: Record<string, BlockKind> = {
  bash: 'shell',
  sh: 'shell',
  console: 'shell',
  ts: 'program',
  typescript: 'program',
  tsx: 'component',
  js: 'program',
  javascript: 'program',
  json: 'json',
  text: 'output',
}

/** Every README that a user reads. */
export function readmePaths(): string[] {
  const nested = ['packages', 'examples'].flatMap((parent) =>
    readdirSync(join(root, parent)).flatMap((folder) =>
      readdirSync(join(root, parent, folder))
        .filter((file) => file === 'README.md')
        .map((file) => join(parent, folder, file)),
    ),
  )
  return ['README.md', ...nested]
}

/** The blocks of a README in their order. Throws for a block that no rule covers, so that every block is tested. */
export function blocksOf(readme: string): ReadmeBlock[] {
  const lines = readFileSync(join(root, readme), 'utf8').split('\n')
  const blocks: ReadmeBlock[] = []
  for (let index = 0; index < lines.length; index++) {
    const [, indent = '', fence, language = ''] = /^(\s*)(`{3,}|~{3,})\s*(\S*)/.exec(lines[index] ?? '') ?? []
    if (fence === undefined) continue
    const kind = kinds[language]
    const place = `${readme}:${index + 1}`
    if (kind === undefined) {
      const known = Object.keys(kinds).join(', ')
      throw new Error(`${place}: the language of the block is '${language}', not one of ${known}`)
    }
    const end = lines.findIndex((line, at) => at > index && line.trim() === fence)
    if (end < 0) throw new Error(`${place}: the block has no end`)
    const body = lines.slice(index + 1, end).map((line) => line.slice(indent.length))
    const before = paragraphBefore(lines, index)
    blocks.push({
      readme,
      line: index + 1,
      language,
      kind,
      text: `${(language === 'console' ? commandsOf(body) : body).join('\n')}\n`,
      prose: before.join(' '),
      fileName: kind === 'program' ? fileNameIn(before.join(' '), body[0] ?? '', language) : undefined,
      notRun: /^<!-- not run: (.+) -->$/.exec(before.at(-1)?.trim() ?? '')?.[1],
    })
    index = end
  }
  return blocks
}

/** The lines of the paragraph, or of the comment, that stands before a line. */
function paragraphBefore(lines: readonly string[], index: number): string[] {
  const earlier = lines.slice(0, index)
  while (earlier.at(-1)?.trim() === '') earlier.pop()
  return earlier.slice(earlier.findLastIndex((line) => line.trim() === '') + 1)
}

/** `console` shows commands after a prompt, and their output. */
function commandsOf(body: readonly string[]): string[] {
  return body.filter((line) => /^[$#] /.test(line)).map((line) => line.slice(2))
}

function fileNameIn(prose: string, firstLine: string, language: string): string | undefined {
  const name = String.raw`([\w-]+\.m?${language.slice(0, 1)}s)`
  const inProse = Array.from(prose.matchAll(new RegExp(`\`${name}\``, 'g')), ([, file]) => file)
  return new RegExp(`^// ${name}$`).exec(firstLine)?.[1] ?? inProse.at(-1)
}
