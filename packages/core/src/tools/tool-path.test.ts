import { expect, test } from 'vitest'
import { toolPath } from './tool-path.ts'

test.each([
  ['~', '/home/agent'],
  ['~/notes.txt', '/home/agent/notes.txt'],
  ['$HOME/a b', '/home/agent/a b'],
  ['${HOME}', '/home/agent'],
  ['$PWD/a', '/workspace/a'],
  ['${PWD}/a', '/workspace/a'],
  ['file:///workspace/a%20b.txt', '/workspace/a b.txt'],
  ['file://localhost/workspace/a', '/workspace/a'],
  ['file:/workspace/a', '/workspace/a'],
  ['FILE:///workspace/100%.txt', '/workspace/100%.txt'],
  ['sandbox:/workspace/a', '/workspace/a'],
  ['sandbox:a.txt', 'a.txt'],
  ['file://a.txt', 'a.txt'],
  ['file://~/a', '/home/agent/a'],
  ['file:///~/a', '/home/agent/a'],
  ['sandbox:/~/a', '/home/agent/a'],
  ['"$HOME"/a', '/home/agent/a'],
  ['[the notes](sandbox:/workspace/a)', '/workspace/a'],
  ['theazo://agents/agt_1/files/workspace/a%23b', '/workspace/a#b'],
  [' a.txt\n', 'a.txt'],
  ['"a b.txt"', 'a b.txt'],
  ["'~/a'", '/home/agent/a'],
  ['`a.txt`', 'a.txt'],
])('%j is read as %j', (given, meant) => {
  expect(toolPath(given)).toBe(meant)
})

test.each([
  'a.txt',
  './~',
  './~/a',
  '/tmp/~',
  '~user/a',
  '~backup',
  'a~',
  '$HOMER/a',
  'dir/$HOME',
  'it"s',
  "a'b'",
  'C:a',
  'a%20b',
])('%j is unchanged', (path) => expect(toolPath(path)).toBe(path))
