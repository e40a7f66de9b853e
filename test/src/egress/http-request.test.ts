// The tool `http_request` with real lookups and connections. A network namespace stands in for the internet.
import { beforeEach, describe, expect, test } from 'vitest'
import { canCreateTestInternet, type ReceivedRequest, type TestInternet, withTestInternet } from './test-internet.ts'

let internet: TestInternet
withTestInternet((opened) => void (internet = opened))
beforeEach(async () => await internet?.act('forget'))

/** The text of the result, or `code: message`. */
const send = async (url: string, input: object = {}): Promise<string> => {
  return await internet.act('httpRequest', { input: { url, ...input } })
}
const seen = async (): Promise<ReceivedRequest[]> => await internet.act('seen')

describe.runIf(canCreateTestInternet)('http_request', () => {
  test.each([
    ['http://one.example.org/', 'hello one.example.org at 93.184.1.1'],
    ['http://six.example.org/', 'hello six.example.org at 2606:2800::1'],
    ['http://93.184.1.9/', 'hello 93.184.1.9 at 93.184.1.9'],
    ['http://[2606:2800::9]/', 'hello [2606:2800::9] at 2606:2800::9'],
  ])('reaches %s', async (url, says) => {
    expect(await send(url)).toContain(says)
    expect(await seen()).toHaveLength(1)
  })

  const hosts = ['10.13.13.13', '169.254.169.254', '127.0.0.1', '[::1]', '93.185.1.1']
  test.each([
    ...hosts,
    'private.example.org',
    'mixed.example.org',
    'metadata.example.org',
    'loopback.example.org',
    'own.example.org',
    'localhost',
    '0x7f000001',
    '017700000001',
    '2852039166',
    '127.1',
    '[::ffff:10.13.13.13]',
    '[64:ff9b::10.13.13.13]',
  ])('does not reach %s, although a server answers there', async (host) => {
    for (const each of hosts) expect(await internet.act('control', { url: `http://${each}/` })).toBe(200)
    await internet.act('forget')
    expect(await send(`http://${host}/`)).toMatch(/^forbidden: .* an address that is not public\.$/)
    expect(await seen()).toEqual([])
  })

  test('reaches an allowed port only', async () => {
    const input = { url: 'http://one.example.org:8080/' }
    const allow = ['one.example.org:8080']
    expect(await internet.act('httpRequest', { input, allow })).toContain('hello one.example.org:8080')
    expect(await send(input.url)).toContain("forbidden: one.example.org:8080 is not in this agent's network.allow.")
  })

  test('sends nothing over TLS to a host that is not trusted, or has the certificate of another host', async () => {
    expect(await send('https://one.example.org/')).toBe(
      'provider_error: one.example.org offers no valid TLS connection (DEPTH_ZERO_SELF_SIGNED_CERT).',
    )
    expect(await seen()).toEqual([])
    await internet.act('trust')
    expect(await send('https://one.example.org/', { method: 'POST', body: 'x' })).toContain('hello one.example.org')
    expect(await seen()).toMatchObject([{ method: 'POST', bytes: 1 }])
    expect(await send('https://two.example.org/')).toBe(
      'provider_error: two.example.org offers no valid TLS connection (ERR_TLS_CERT_ALTNAME_INVALID).',
    )
    expect(await seen()).toHaveLength(1)
  })
})
