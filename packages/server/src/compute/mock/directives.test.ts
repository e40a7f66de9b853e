import { expect, test } from 'vitest'
import { readDirectives } from './directives.ts'

test.each([
  ['theazo:exit=3', { exit: '3' }],
  ['print(1) # theazo:timeout', { timeout: '' }],
  ['theazo:stdout="two words\\n" theazo:exit=1', { stdout: 'two words\n', exit: '1' }],
  ['theazo:stdout="a \\"quoted\\" word"', { stdout: 'a "quoted" word' }],
  ['theazo:stdout="a\nb"', { stdout: 'a\nb' }],
  ['theazo:stdout="open', { stdout: '' }],
  ['theazo:a=1 theazo:a=2', { a: '2' }],
  ['xtheazo:a=1', {}],
  ['theazo:a= b', { a: '' }],
])('%j requests %j', (text, found) => {
  expect(Object.fromEntries(readDirectives(text))).toEqual(found)
})

test('reads megabytes of text, quoted or not', () => {
  const long = 'word \\n'.repeat(1_500_000)
  expect(readDirectives(`theazo:stdout="${long}"`).get('stdout')).toHaveLength(1_500_000 * 6)
  expect(readDirectives(`theazo:stdout="${long}`).get('stdout')).toBe('')
  expect(readDirectives(`theazo:stdout=${'x'.repeat(9_000_000)}`).get('stdout')).toHaveLength(9_000_000)
})
