// Every program of test/fixture has the same result in the sandbox and with an interpreter outside of it.
import type { Agent, Language } from '@theazo/core'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  normalizeSandboxResult,
  type ProgramResult,
  type Program,
  programsOf,
  runUnsandboxed,
  withoutNodeFrames,
} from './unsandboxed-interpreter.ts'
import { Chance } from '../support/chance.ts'
import { isSoak } from '../support/soak.ts'
import { interpreterSettings } from './warm-interpreter-settings.ts'
import { withLocalAgent } from '../support/local-agent.ts'

const runs = isSoak ? 100 : 10
/**
 * Without warm interpreters only every n-th program runs: the results differ little, and the runs take most of the
 * time.
 */
const share = isSoak ? 1 : 4

const bare = new Map<string, ProgramResult>()

describe.each(interpreterSettings)('interpreters: %s', (when, sandbox) => {
  const isShort = when !== 'warm'
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox })

  /** Both results, first that of the sandbox. */
  async function endings(
    lang: Language,
    { code, stdin }: Pick<Program, 'code' | 'stdin'>,
  ): Promise<[ProgramResult, ProgramResult]> {
    const shown = lang === 'typescript' ? withoutNodeFrames : (ending: ProgramResult): ProgramResult => ending
    const key = JSON.stringify([lang, code, stdin])
    const expected = bare.get(key) ?? runUnsandboxed(lang, code, stdin)
    bare.set(key, expected)
    const result = await agent.exec(lang, code, { ...(stdin !== undefined && { stdin }) })
    return [shown(normalizeSandboxResult(result)), shown(expected)]
  }

  describe.each(['python', 'typescript', 'bash'] as const)(
    '%s programs have the same result as without a sandbox',
    (lang) => {
      const programs = programsOf(lang).filter((_program, index) => !isShort || index % share === 0)
      test.each(programs.map((program) => [program.title, program] as const))('%s', async (_title, program) => {
        const [ours, expected] = await endings(lang, program)
        expect(ours).toEqual(expected)
      })
    },
  )

  const text = fc.string({
    unit: fc.constantFrom('a', ' ', "'", '"', '\\', '$', '`', '\n', 'é', '😀', '\t', '%', '{'),
    maxLength: 12,
  })
  const step = fc.oneof(
    fc.record({ do: fc.constant('print' as const), text }),
    fc.record({ do: fc.constant('complain' as const), text }),
    fc.record({ do: fc.constant('exit' as const), code: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ do: fc.constant('fail' as const), text }),
    fc.record({ do: fc.constant('read' as const) }),
  )
  type Step = typeof step extends fc.Arbitrary<infer Made> ? Made : never

  test.each(['python', 'typescript', 'bash'] as const)(
    'random small %s programs have the same result as without a sandbox',
    async (lang) => {
      const { seed } = new Chance()
      const property = fc.asyncProperty(fc.array(step, { maxLength: 5 }), text, async (steps, stdin) => {
        const [ours, expected] = await endings(lang, {
          code: steps.map((made: Step) => written(lang, made)).join('\n'),
          stdin,
        })
        expect(ours).toEqual(expected)
      })
      await fc.assert(property, { seed, numRuns: runs })
    },
  )

  function written(lang: Language, made: Step): string {
    const quoted = 'text' in made ? JSON.stringify(made.text) : ''
    const shell = 'text' in made ? `'${made.text.replaceAll("'", String.raw`'\''`)}'` : ''
    const pick = (python: string, typescript: string, bash: string): string => ({ python, typescript, bash })[lang]
    switch (made.do) {
      case 'print':
        return pick(`print(${quoted})`, `console.log('%s', ${quoted})`, `printf '%s\\n' ${shell}`)
      case 'complain':
        return pick(
          `import sys; print(${quoted}, file=sys.stderr)`,
          `console.error('%s', ${quoted})`,
          `printf '%s\\n' ${shell} >&2`,
        )
      case 'exit':
        return pick(`import sys; sys.exit(${made.code})`, `process.exit(${made.code})`, `exit ${made.code}`)
      case 'fail':
        return pick(`raise ValueError(${quoted})`, `throw new Error(${quoted})`, `${shell} 2>&1; exit 1`)
      case 'read':
        return pick(
          'import sys; print(repr(sys.stdin.read()))',
          `console.log(JSON.stringify((await import('node:fs')).readFileSync(0, 'utf8')))`,
          'cat | od -c',
        )
    }
  }
})
