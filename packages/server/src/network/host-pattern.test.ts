import { describe, expect, test } from 'vitest'
import { hostOf, splitPort } from './host-name.ts'
import { anyPublicHost, isAllowed, isCovered, parsePattern, patternsOf } from './host-pattern.ts'

describe('a host', () => {
  test.each([
    ['Example.ORG', 'example.org'],
    ['example.org.', 'example.org'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['ｅxample.org', 'example.org'],
    ['1.2.3.4', '1.2.3.4'],
    ['0x7f.1', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['017700000001', '127.0.0.1'],
    ['[2606:4700:0:0::1111]', '2606:4700::1111'],
    ['2606:4700:0:0::1111', '2606:4700::1111'],
    ['a_b.example.org', 'a_b.example.org'],
  ])('%s is normalized to %s', (text, host) => {
    expect(hostOf(text)).toBe(host)
  })

  test.each([
    '',
    '.',
    'a..b',
    '.example.org',
    'example.org..',
    'a b',
    'a\tb',
    'a\nb',
    'me@example.org',
    'example.org/',
    'example.org\\',
    'example.org:80',
    'example.org?',
    'example.org#',
    '%65xample.org',
    '1.2.3.4.5',
    '256.1.1.1',
    '[::1]:80',
    '[::1%25eth0]',
    '[1.2.3.4]',
    `${'a'.repeat(64)}.org`,
    `${'a.'.repeat(127)}org`,
  ])('%j is not a host', (text) => {
    expect(hostOf(text)).toBeUndefined()
  })

  test.each([
    ['example.org', { host: 'example.org', port: undefined }],
    ['example.org:22', { host: 'example.org', port: 22 }],
    ['[::1]:22', { host: '[::1]', port: 22 }],
    ['[::1]', { host: '[::1]', port: undefined }],
    ['example.org:0', undefined],
    ['example.org:65536', undefined],
    ['example.org:', undefined],
    ['example.org:+1', undefined],
    ['::1', undefined],
  ])('%s is split into host and port', (text, split) => {
    expect(splitPort(text)).toEqual(split)
  })
})

describe('an entry of network.allow', () => {
  const cases: [string, string, number, boolean][] = [
    ['api.example.org', 'api.example.org', 443, true],
    ['api.example.org', 'api.example.org', 80, true],
    ['API.Example.org.', 'api.example.org', 443, true],
    ['api.example.org', 'api.example.org', 22, false],
    ['api.example.org', 'example.org', 443, false],
    ['api.example.org', 'x.api.example.org', 443, false],
    ['api.example.org:22', 'api.example.org', 22, true],
    ['api.example.org:22', 'api.example.org', 443, false],
    ['*.example.org', 'a.example.org', 443, true],
    ['*.example.org', 'a.b.c.example.org', 443, true],
    ['*.example.org', 'example.org', 443, false],
    ['*.example.org', 'notexample.org', 443, false],
    ['*.example.org', 'example.org.evil.test', 443, false],
    ['*.4', '1.2.3.4', 443, false],
    ['*', 'anything.test', 443, true],
    ['*', '93.184.1.1', 80, true],
    ['*', 'anything.test', 22, false],
    ['*:22', 'anything.test', 22, true],
    ['93.184.1.1', '93.184.1.1', 443, true],
    ['93.184.1.1', '93.184.1.2', 443, false],
    ['2606:4700::1111', '2606:4700::1111', 443, true],
    ['[2606:4700::1111]:53', '2606:4700::1111', 53, true],
    ['bücher.example', 'xn--bcher-kva.example', 443, true],
  ]
  test.each(cases)('the entry %s allows %s:%i: %s', (entry, host, port, isHostAllowed) => {
    expect(isAllowed(patternsOf([entry]), host, port)).toBe(isHostAllowed)
  })

  test.each([
    ['https://example.org', 'without a scheme'],
    ['example.org/path', 'neither a path'],
    ['10.0.0.0/8', 'neither a path'],
    ['example.org:0', 'host:port'],
    ['', 'host name'],
    ['*.', 'host name'],
    ['**', 'host name'],
    ['a.*.org', 'host name'],
    ['*example.org', 'host name'],
    ['*.*.org', 'host name'],
    ['me@example.org', 'host name'],
    ['*.93.184.1.1', 'without *.'],
    ['10.0.0.1', 'must be public: 10.0.0.1'],
    ['127.1:8080', 'must be public: 127.0.0.1'],
    ['169.254.169.254', 'must be public'],
    ['[::1]', 'must be public'],
    ['[::ffff:8.8.8.8]', 'must be public'],
    ['localhost', 'must be public'],
    ['*.localhost', 'must be public'],
  ])('rejects %j with the reason', (entry, says) => {
    expect(parsePattern(entry)).toContain(says)
  })

  const covers: [string[], string, boolean][] = [
    [['example.org'], 'example.org', true],
    [['example.org'], 'example.org:443', true],
    [['example.org:443'], 'example.org', false],
    [['example.org:443', 'example.org:80'], 'example.org', true],
    [['example.org'], 'example.org:22', false],
    [['*.example.org'], 'a.example.org', true],
    [['*.example.org'], '*.example.org', true],
    [['*.example.org'], '*.a.example.org', true],
    [['*.a.example.org'], '*.example.org', false],
    [['*.example.org'], 'example.org', false],
    [['a.example.org'], '*.example.org', false],
    [['*.example.org'], '*', false],
    [['*'], '*', true],
    [['*'], '*.example.org', true],
    [['*'], 'example.org:22', false],
    [['*.example.org'], '93.184.1.1', false],
    [[], 'example.org', false],
  ]
  test.each(covers)('%j covers %s: %s', (outer, entry, isEntryCovered) => {
    const pattern = parsePattern(entry)
    if (typeof pattern === 'string') throw new Error(pattern)
    expect(isCovered(patternsOf(outer), pattern)).toBe(isEntryCovered)
    expect(isCovered([anyPublicHost], pattern)).toBe(true)
  })
})
