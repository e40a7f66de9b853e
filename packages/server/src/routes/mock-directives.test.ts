import { describe, expect, test } from 'vitest'
import type { ApiError } from '../errors.ts'
import { assertDirectives } from './mock-directives.ts'

function faultOf(field: 'code' | 'task', text: string): string | undefined {
  try {
    assertDirectives(field, text)
    return undefined
  } catch (error) {
    return (error as ApiError).message
  }
}

describe('refuses a directive without effect and suggests the most similar one', () => {
  test.each<['code' | 'task', string, string]>([
    ['code', '# theazo:stdot=hi', "no directive 'theazo:stdot'; did you mean 'theazo:stdout'?"],
    ['code', '# theazo:Stdout=hi', "did you mean 'theazo:stdout'?"],
    ['code', '# theazo:std-out=hi', "did you mean 'theazo:stdout'?"],
    ['code', '# THEAZO:stderrr=hi', "did you mean 'theazo:stderr'?"],
    ['code', '# theazo:stdout=a theazo:exti=3', "did you mean 'theazo:exit'?"],
    ['code', '# theazo:steps=3', 'it belongs in the task'],
    ['code', '# theazo:exit=three', "'theazo:exit' needs a whole number"],
    ['code', '# theazo:exit', "'theazo:exit' needs a whole number"],
    [
      'code',
      '# theazo:exit=300',
      "'theazo:exit' needs a whole number from 0 to 255: theazo:exit=1, not 'theazo:exit=300'",
    ],
    ['code', '# theazo:exit=-1', "'theazo:exit' needs a whole number from 0 to 255"],
    ['code', '# theazo:timeuot', "did you mean 'theazo:timeout'?"],
    ['code', '# theazo:hang', 'it belongs in the task'],
    ['code', '# theazo:stdout="two words', "'theazo:stdout' has an unterminated quote"],
    ['code', '# theazo:exit=0 theazo:stderr="\\"', "'theazo:stderr' has an unterminated quote"],
    ['task', 'theazo:output="two words', "'theazo:output' has an unterminated quote"],
    ['code', '# theazo:delay=1.5', "'theazo:delay' needs a whole number"],
    ['code', '# theazo:stdout', "'theazo:stdout' needs a value"],
    ['code', '# theazo:__proto__=1', 'did you mean'],
    ['task', 'Do it. theazo:hangs', "did you mean 'theazo:hang'?"],
    ['task', 'theazo:outputbytes=3', "did you mean 'theazo:output_bytes'?"],
    ['task', 'theazo:stdout=3', 'it belongs in the code'],
    ['task', 'theazo:refuse', "'theazo:refuse' needs a value"],
  ])('%s: %s', (field, text, says) => {
    expect(faultOf(field, text)).toContain(says)
  })
})

describe('accepts correct directives and text that is no directive', () => {
  test.each<['code' | 'task', string]>([
    ['code', 'print(1)  # theazo:timeout'],
    ['code', '# theazo:stdout="see theazo:stdot" theazo:exit=3 theazo:truncated'],
    ['code', '# theazo:stdout="a \\" theazo:nope"'],
    ['code', '# theazo:stdout="" theazo:delay=10 theazo:error=timeout'],
    ['code', 'curl http://theazo:4020/ # xtheazo:stdot'],
    ['code', 'theazo: a sentence'],
    ['code', '# theazo:exit=255'],
    ['code', 'docker run registry.example.org/theazo:latest'],
    ['code', 'docker build -t theazo:dev . && docker push theazo:v1'],
    ['code', 'cache.get("theazo:user:42")'],
    ['task', 'Write down what theazo:latest is.'],
    ['task', 'theazo:output="two words" theazo:steps=2, and so on'.replace(',', '')],
    ['task', 'Wait with theazo:hang.'],
  ])('%s: %s', (field, text) => {
    expect(faultOf(field, text)).toBeUndefined()
  })

  test('in megabytes of text', () => {
    const long = 'word \\n'.repeat(1_500_000)
    for (const text of [`theazo:stdout="${long}"`, `theazo:stdout=${'x'.repeat(9_000_000)}`]) {
      expect(faultOf('code', text)).toBeUndefined()
    }
    expect(faultOf('code', `theazo:stdout="${long}`)).toContain('unterminated quote')
  })
})
