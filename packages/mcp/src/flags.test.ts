import { expect, test } from 'vitest'
import { parseFlags } from './flags.ts'
import { unsetPlaceholders } from './unset-placeholders.ts'

test('without flags: the API, a new sandbox, the default tools, images, and an idle timeout of 30 minutes', () => {
  expect(parseFlags([])).toEqual({
    show: undefined,
    isLocal: false,
    userId: undefined,
    sandboxName: undefined,
    groups: undefined,
    isReadOnly: false,
    hasImages: true,
    idleTimeoutSeconds: 1800,
    answerSeconds: 45,
  })
})

test('every flag is parsed', () => {
  const line =
    '--user-id=ada --sandbox work --toolsets code,usage --read-only --no-images --idle-timeout 60 --answer-within 20 --version'
  expect(parseFlags(line.split(' '))).toEqual({
    show: 'version',
    isLocal: false,
    userId: 'ada',
    sandboxName: 'work',
    groups: ['code', 'usage'],
    isReadOnly: true,
    hasImages: false,
    idleTimeoutSeconds: 60,
    answerSeconds: 20,
  })
  expect(parseFlags(['--toolsets', 'code, all']).groups).toBe('all')
  expect(parseFlags(['--local'])).toMatchObject({ isLocal: true, show: undefined })
  expect(parseFlags(['-h']).show).toBe('help')
  expect(() => parseFlags(['--local', '--sandbox', 'work'])).toThrow('cannot be combined with --local')
})

test.each([
  [['--colour'], "Unknown option '--colour'. See theazo-mcp --help."],
  [['serve'], "Unexpected argument 'serve'. See theazo-mcp --help."],
  [['--user-id'], '--user-id needs a value. See theazo-mcp --help.'],
  [['--sandbox', '--local'], '--sandbox needs a value. See theazo-mcp --help.'],
  [['--local=yes'], "Option '--local' does not take an argument. See theazo-mcp --help."],
  [['--user-id='], '--user-id needs a name of 1 to 256 characters.'],
  [['--sandbox', 'x'.repeat(129)], '--sandbox needs a name of 1 to 128 characters.'],
  [['--toolsets', 'code,network'], /^--toolsets has no group 'network'. Valid: code, files, .*, all\.$/],
  [['--toolsets='], /^--toolsets has no group ''/],
  [['--toolsets', 'code', '--read-only'], /^--read-only leaves no tool/],
  [['--idle-timeout', '59'], "--idle-timeout needs a whole number of seconds from 60 to 604800, not '59'."],
  [['--idle-timeout', '604801'], "--idle-timeout needs a whole number of seconds from 60 to 604800, not '604801'."],
  [['--idle-timeout', '1e3'], "--idle-timeout needs a whole number of seconds from 60 to 604800, not '1e3'."],
  [['--answer-within', '0'], "--answer-within needs a whole number of seconds from 1 to 3600, not '0'."],
])('%j is refused with a message of one line', (argv, message) => {
  expect(() => parseFlags(argv)).toThrow(message)
})

test('an environment variable that is empty or an unfilled placeholder counts as not set', () => {
  const environment = { A: '', B: ' ', C: '${user_config.api_key}', D: 'th_live_1', E: '' }
  unsetPlaceholders(environment, ['A', 'B', 'C', 'D', 'F'])
  expect(environment).toEqual({ D: 'th_live_1', E: '' })
})
