import { expect, test } from 'vitest'
import { fileUri, parseFileUri } from './file-uri.ts'

test('every path survives encoding and parsing, whatever its characters', () => {
  const paths = [
    '/a',
    '/a b',
    '/100%',
    '/%41',
    '/ü/日本',
    '/#x?y=1&z',
    '//double',
    '/..',
    '/a/../b',
    '/new\nline',
    "/it's",
    '/a\\b',
  ]
  for (const path of paths) {
    const uri = fileUri({ agentId: 'agt_1', path })
    expect(parseFileUri(uri)).toEqual({ agentId: 'agt_1', path })
    expect(uri).toMatch(/^theazo:\/\/agents\/agt_1\/files\/[\w/%.~!'()*-]+$/)
  }
})

test('a relative path starts at /workspace', () => {
  expect(fileUri({ agentId: 'agt_1', path: 'a/b' })).toBe('theazo://agents/agt_1/files/workspace/a/b')
})

test('a path that the client did not encode is parsed too', () => {
  const path = (uri: string) => parseFileUri(uri)?.path
  expect(path('theazo://agents/agt_1/files//workspace/a?b')).toBe('//workspace/a?b')
  expect(path('theazo://agents/agt_1/files/workspace/100%')).toBe('/workspace/100%')
})

test('any other URI returns undefined', () => {
  for (const uri of [
    '',
    'file:///a',
    'theazo://agents/agt_1',
    'theazo://agents/agt_1/files/',
    'theazo://agents//files/a',
  ]) {
    expect(parseFileUri(uri)).toBeUndefined()
  }
})
